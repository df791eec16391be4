"""The frames of one sequence: which files are read, and damaged PNG files."""

import pickle
import struct
import zlib

import cv2
import numpy as np
import pytest

from data_pipelines import casiab
from data_pipelines import datasets
from data_pipelines import frames
from data_pipelines import tree
from gaitkd_jax.errors import UserError
from tests.helpers import builds
from tests.helpers import casiab_tree
from tests.helpers import trees

_FRAME = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)


def _chunk(kind, data):
  return (
    struct.pack(">I", len(data))
    + kind
    + data
    + struct.pack(">I", zlib.crc32(kind + data))
  )


def _png(width, height, data):
  header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
  return (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", header)
    + _chunk(b"IDAT", data)
    + _chunk(b"IEND", b"")
  )


def _damaged_pngs():
  good = cv2.imencode(".png", _FRAME)[1].tobytes()
  yield b"", "is empty"
  yield b"GIF89a" + good, "not a PNG"
  for length in (8, 20, 50, len(good) // 2, len(good) - 12, len(good) - 1):
    yield good[:length], "cut short"
  flipped = bytearray(good)
  flipped[len(good) // 2] ^= 1
  yield bytes(flipped), "is damaged"
  yield _png(64, 64, b"no zlib stream"), "is damaged"
  yield _png(64, 64, zlib.compress(bytes(99))), "is damaged"
  yield _png(99999, 99999, zlib.compress(bytes(99))), "too large"


def test_damaged_pngs_are_named(tmp_path, capfd):
  path = tmp_path / "001.png"
  path.write_bytes(_png(64, 64, zlib.compress(bytes(65 * 64))))
  assert frames.read_png(path).shape == (64, 64)
  for data, text in _damaged_pngs():
    path.write_bytes(data)
    with pytest.raises(UserError, match="001.png") as caught:
      frames.read_png(path)
    assert text in str(caught.value)
    if b"no zlib" in data:
      break  # What only OpenCV finds, it also prints.
    assert capfd.readouterr().err == ""


def test_pngs_that_only_opencv_can_judge(tmp_path):
  path = tmp_path / "001.png"
  for data, text in _damaged_pngs():
    path.write_bytes(data)
    with pytest.raises(UserError, match=text):
      frames.read_png(path)


def read_sequence(entry):
  return frames.read_sequence(entry, casiab.SOURCE)["silhouettes"]


def test_frames_are_read_in_the_order_of_their_names(tmp_path):
  values = casiab_tree.silhouettes(0, 40)
  path = casiab_tree.folder(tmp_path, casiab_tree.KEYS[0])
  for i in np.random.default_rng(0).permutation(40):
    cv2.imwrite(str(path / f"{i:03d}.png"), values[i])
  (entry,) = tree.scan(tmp_path, casiab.SOURCE.layouts).folders
  np.testing.assert_array_equal(read_sequence(entry), values)


def test_what_is_no_frame_is_left_out(tmp_path):
  values = casiab_tree.silhouettes(0)
  path = casiab_tree.write_pngs(tmp_path, casiab_tree.KEYS[0], values)
  cv2.imwrite(str(path / "001-gei.png"), values[0])
  cv2.imwrite(str(path / "000.png"), np.zeros((64, 64), np.uint8))
  (path / "._001.png").write_bytes(b"not a frame")
  (path / "notes.txt").write_text("not a frame")
  (path / "more.png").mkdir()
  (entry,) = tree.scan(tmp_path, casiab.SOURCE.layouts).folders
  np.testing.assert_array_equal(read_sequence(entry), values)


def test_several_pickles_in_a_folder(tmp_path):
  values = casiab_tree.silhouettes(0)
  path_own = casiab_tree.write_pickle(tmp_path, casiab_tree.KEYS[0], values)
  (path_own.parent / "000-heatmap.pkl").write_bytes(pickle.dumps("unused"))
  (entry,) = tree.scan(tmp_path, casiab.SOURCE.layouts).folders
  np.testing.assert_array_equal(read_sequence(entry), values)
  # What is not heat maps is the silhouettes.
  other = path_own.rename(path_own.parent / "other.pkl")
  np.testing.assert_array_equal(read_sequence(entry), values)
  (path_own.parent / "000-heatmap.pkl").rename(path_own.parent / "another.pkl")
  with pytest.raises(UserError, match="2 pickles .* name it 000.pkl"):
    read_sequence(entry)
  other.rename(path_own)
  np.testing.assert_array_equal(read_sequence(entry), values)


def test_pickles_come_before_the_png_they_were_made_from(tmp_path):
  path_own = casiab_tree.write_pickle(
    tmp_path, casiab_tree.KEYS[0], casiab_tree.silhouettes(0)
  )
  cv2.imwrite(str(path_own.parent / "001.png"), casiab_tree.silhouettes(1)[0])
  (entry,) = tree.scan(tmp_path, casiab.SOURCE.layouts).folders
  np.testing.assert_array_equal(
    read_sequence(entry), casiab_tree.silhouettes(0)
  )


def test_pickles_by_name_and_by_order(tmp_path):
  root = tmp_path / "tree"
  folder = root / "0002" / "camid1_videoid1" / "seq0"
  key = ("0002", "camid1_videoid1", "seq0")
  values = trees.normalised("gait3d", *key, 3)
  maps = trees.heatmaps(*key, 3)
  both = ("silhouettes", "heatmaps")
  cases = [
    (("a-Sil.pkl", values), ("b.pkl", maps), both[:1]),
    (("a-SILs.pkl", values), ("heat_map.pkl", maps), both),
    (("z.pkl", values), ("b.pkl", maps), both),
    (("seq0.pkl", values), ("0-sil.pkl", maps), both[:1]),
  ]
  folder.mkdir(parents=True)
  for *files, modalities in cases:
    for name, content in files:
      (folder / name).write_bytes(pickle.dumps(content))
    builder = datasets.prepare(
      builds.data_of("gait3d", root, modalities=modalities)
    )
    for feature, content in zip(modalities, (values, maps), strict=False):
      (found,) = builds.read(builder, feature)["test"].values()
      np.testing.assert_array_equal(found, content)
    for name, _ in files:
      (folder / name).unlink()


def _sixteen_pickles(tmp_path):
  root = tmp_path / "tree"
  expected = trees.write(root, "sustech1k", "pickle", frames=3)
  for folder in {path.parent for path in root.rglob("*.pkl")}:
    condition, view = folder.parts[-2:]
    key = (folder.parts[-3], condition, view)
    maps = trees.heatmaps(*key, 3)
    (folder / "16-heatmap.pkl").write_bytes(pickle.dumps(maps))
  return root, expected


@pytest.mark.parametrize("pickles", ["", "silhouettes=6,heatmaps=16"])
def test_heat_maps_beside_sixteen_pickles(tmp_path, pickles):
  root, expected = _sixteen_pickles(tmp_path)
  data = builds.data_of(
    "sustech1k", root, modalities=("silhouettes", "heatmaps")
  )
  data.pickles = pickles
  found = datasets.prepare(data).as_dataset(split="test")
  for row in found.as_numpy_iterator():
    name = row["name"].decode()
    np.testing.assert_array_equal(row["silhouettes"], expected[name])
    key = row["subject"].decode(), row["condition"].decode()
    maps = trees.heatmaps(*key, row["view"].decode(), 3)
    np.testing.assert_array_equal(row["heatmaps"], maps)


@pytest.mark.parametrize(
  "pickles, words",
  [
    ("silhouettes", "data.pickles is 'silhouettes'"),
    ("depth=3", "data.pickles is 'depth=3'"),
    ("silhouettes=17", "fits 0 of 17 pickles"),
    ("silhouettes=modality", "fits 16 of 17 pickles"),
    ("silhouettes=05-", "05-modality.pkl"),  # another modality: wrong shape
  ],
)
def test_a_wrong_choice_of_pickles(tmp_path, pickles, words):
  root, _ = _sixteen_pickles(tmp_path)
  data = builds.data_of("sustech1k", root)
  data.pickles = pickles
  assert words in builds.refusal(data)
