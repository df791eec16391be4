"""Sizes, splits, and names that a size does not have."""

import pytest

from data_pipelines.walkers import sequence
from data_pipelines.walkers import spec as spec_lib
from gaitkd_jax import errors


def test_sizes_are_those_of_the_published_splits():
  extent = {
    name: (len(s.split("train")), len(s.split("test")), len(s.views), s.frames)
    for name, s in spec_lib.SIZES.items()
  }
  assert extent == {
    "tiny": (8, 4, 4, 16),
    "small": (32, 16, 11, 30),
    "full": (74, 50, 11, 40),
    "validation": (24, 8, 11, 30),
  }
  kept = spec_lib.SIZES["validation"]
  assert kept.split("train") + kept.split("test") == spec_lib.SIZES[
    "small"
  ].split("train")
  assert spec_lib.SIZES["full"].split("test")[0] == "075"
  assert len(spec_lib.CONDITIONS) == 10


@pytest.mark.parametrize(
  "name",
  [
    ("huge", "001", "nm-01", "090"),
    ("tiny", "013", "nm-01", "090"),
    ("tiny", "1", "nm-01", "090"),
    ("tiny", "001", "nm-07", "090"),
    ("tiny", "001", "nm-01", "054"),
  ],
)
def test_unknown_names_are_refused_in_one_line(name):
  with pytest.raises(errors.UserError, match="walkers: no ") as caught:
    sequence.render_sequence(*name)
  assert "\n" not in str(caught.value)
