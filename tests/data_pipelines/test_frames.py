"""The frames of one sequence: which files are read, in what order."""

import pickle

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


def read_sequence(entry):
  return frames.read_sequence(entry, casiab.SOURCE).arrays["silhouettes"]


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
