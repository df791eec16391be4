"""Many sequences, rendered on all cores."""

import numpy as np

from data_pipelines.walkers import generate
from data_pipelines.walkers import sequence
from data_pipelines.walkers import spec as spec_lib
from tests.helpers import command
from tests.helpers import walkers


def test_processes_keep_the_order_and_the_frames():
  subjects = walkers.SHORT.split("train")
  one, two = (
    list(generate.sequences(walkers.SHORT, subjects, spec_lib.Spec(), cores))
    for cores in (1, 2)
  )
  assert [s[:3] for s in one] == [s[:3] for s in two]
  assert one[0][:3] == ("001", "nm-01", "000")
  assert len(one) == 3 * 2 * 2
  for a, b in zip(one, two, strict=True):
    np.testing.assert_array_equal(a[3]["silhouettes"], b[3]["silhouettes"])
  np.testing.assert_array_equal(
    one[5][3]["silhouettes"],
    sequence.render_sequence(walkers.SHORT, *one[5][:3]),
  )


def test_rendering_needs_no_tensorflow():
  code = (
    "import sys, data_pipelines.walkers.generate;"
    "bad = {'tensorflow', 'tensorflow_datasets', 'jax'} & set(sys.modules);"
    "assert not bad, bad"
  )
  assert command.output(program=("-c", code)) == ""
