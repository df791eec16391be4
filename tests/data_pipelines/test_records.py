"""The record of one sequence."""

import numpy as np
import pytest

from data_pipelines import records
from gaitkd_jax import errors

TEXTS = dict(subject="1", condition="nm-01", view="090", name="1-nm-01-090")


def arrays(frames):
  rng = np.random.default_rng(frames)
  return {
    name: rng.integers(0, 256, (frames, *shape)).astype(np.uint8)
    for name, shape in records.SHAPES.items()
  }


def test_decoding_gives_back_what_was_serialised():
  values = arrays(5)
  record = records.serialize(values, TEXTS)
  decoded = records.decode(record, tuple(records.SHAPES))
  assert decoded.keys() == values.keys()
  for name, expected in values.items():
    np.testing.assert_array_equal(decoded[name], expected)
  frames = np.array([4, 0, 0])
  (few,) = records.decode(record, ("heatmaps",), frames).values()
  np.testing.assert_array_equal(few, values["heatmaps"][frames])


@pytest.mark.parametrize(
  "name, values",
  [
    ("silhouettes", np.zeros((2, 64, 44), np.uint8)),
    ("silhouettes", np.zeros((2, 64, 64), np.float32)),
    ("heatmaps", np.zeros((3, 2, 64, 64), np.uint8)),
  ],
)
def test_other_arrays_are_refused(name, values):
  with pytest.raises(errors.UserError, match=f"1-nm-01-090: {name} are"):
    records.serialize(arrays(2) | {name: values}, TEXTS)
