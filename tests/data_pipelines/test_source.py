"""What the data sets say about themselves."""

import numpy as np
import pytest

from data_pipelines import datasets
from data_pipelines import pretreatment
from data_pipelines import source
from data_pipelines import tree


@pytest.mark.parametrize("name", datasets.TREES)
def test_layouts_name_sequences(name):
  for layout in datasets.source(name).layouts:
    # The text shows as many folders as the pattern has.
    assert layout.text.split(",")[0].count("/") + 1 == layout.depth
    for depth in range(layout.depth):
      layout.part(depth)


def test_frames_are_pretreated_as_for_casia_b_by_default():
  layout = tree.Layout("(?P<subject>.+)", "<subject>", view="", condition="")
  partition = datasets.source("casiab").partition
  made = source.Source("a data set", (layout,), partition)
  frame = np.zeros((90, 90), np.uint8)
  frame[10:80, 30:50] = 255
  np.testing.assert_array_equal(
    made.pretreat(frame), pretreatment.pretreat_frame(frame)
  )
  assert made.pickles == () and made.pickle_of is None
