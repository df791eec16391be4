"""Examples of the prepared data, and reading them ahead."""

import zlib

import numpy as np
import pytest

from data_pipelines import casiab
from data_pipelines import examples
from data_pipelines import tree
from gaitkd_jax import errors
from tests.helpers import casiab_tree

SILHOUETTES = ("silhouettes",)


def test_an_example_is_compressed_frames_and_texts(tmp_path):
  values = casiab_tree.silhouettes(0)
  casiab_tree.write_pickle(tmp_path, casiab_tree.KEYS[0], values)
  (folder,) = tree.scan(tmp_path, casiab.SOURCE.layouts).folders
  outcome = examples.read(folder, casiab.SOURCE, SILHOUETTES)
  assert outcome.folder == folder and not outcome.mended
  assert outcome.check.frames == len(values)
  example = outcome.example
  packed = example.pop("silhouettes")
  assert example == dict(
    subject="001", condition="nm-01", view="000", name="001-nm-01-000"
  )
  for frame, expected in zip(packed, values, strict=True):
    assert zlib.decompress(frame) == expected.tobytes()
  # A frame that is compressed already is passed on as it is.
  feature = examples.Frames((64, 64))
  assert feature.encode_example(packed[0]) is packed[0]
  assert zlib.decompress(feature.encode_example(values[0])) == (
    values[0].tobytes()
  )


def test_reading_ahead_keeps_the_order_and_names_what_is_empty(tmp_path):
  count = 2 * examples._AHEAD + 3
  for i in range(count):
    empty = i % 7 == 3
    values = np.zeros((1, 64, 64), np.uint8)
    if not empty:
      values = casiab_tree.silhouettes(i, 1)
    casiab_tree.write_pickle(tmp_path, (f"{i:03}", "nm-01", "000"), values)
  folders = tree.scan(tmp_path, casiab.SOURCE.layouts).folders
  damaged = tmp_path / "005" / "nm-01" / "000" / "000.pkl"
  damaged.write_bytes(b"")
  found = list(examples.read_ahead(folders, casiab.SOURCE, SILHOUETTES))
  assert [outcome.folder for outcome in found] == list(folders)
  for i, outcome in enumerate(found):
    if i % 7 == 3:
      assert outcome.example is None
      assert outcome.skipped == "none of 1 frames is usable"
    elif i == 5:
      assert outcome.example is None
      assert str(damaged) in outcome.refused[0]
    else:
      assert outcome.example["subject"] == f"{i:03}"
      assert not outcome.skipped and not outcome.refused


def test_modalities_have_one_order():
  assert examples.check_modalities(["heatmaps", "silhouettes"]) == (
    "silhouettes",
    "heatmaps",
  )
  assert set(examples.features(SILHOUETTES)) == {
    *("silhouettes", "subject", "condition", "view", "name")
  }
  for bad in ((), ("heatmaps",), ("silhouettes", "depth")):
    with pytest.raises(errors.UserError, match="data.modalities is"):
      examples.check_modalities(bad)
