"""Every data set, from its publisher's tree and from OpenGait's pickles."""

import pathlib
import pickle

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_pipelines import datasets
from tests.helpers import builds
from tests.helpers import trees


@pytest.mark.parametrize("layout", ["raw", "pickle"])
@pytest.mark.parametrize("dataset", trees.NAMES)
def test_arrays_splits_and_names(tmp_path, dataset, layout):
  expected = trees.write(tmp_path / "tree", dataset, layout)
  train = trees.first_subjects(dataset, 4)[:2]
  found = builds.read(
    datasets.prepare(builds.data_of(dataset, tmp_path / "tree"))
  )
  assert set(found["train"]) == {n for n in expected if n.startswith(train)}
  assert {**found["train"], **found["test"]}.keys() == expected.keys()
  for part in found.values():
    for name, values in part.items():
      np.testing.assert_array_equal(values, expected[name])


@pytest.mark.parametrize("dataset", ["oumvlp", "sustech1k"])
def test_heat_maps_lie_beside_the_silhouettes(tmp_path, dataset):
  expected = trees.write(
    tmp_path / "tree", dataset, "pickle", 2, with_heatmaps=True
  )
  data = builds.data_of(
    dataset, tmp_path / "tree", modalities=("silhouettes", "heatmaps")
  )
  builder = datasets.prepare(data)
  silhouettes, maps = builds.read(builder), builds.read(builder, "heatmaps")
  for split, part in maps.items():
    for name, values in part.items():
      assert values.shape == (6, 2, 64, 64)
      np.testing.assert_array_equal(
        values, trees.heatmaps(*_key(dataset, name), 6)
      )
      np.testing.assert_array_equal(silhouettes[split][name], expected[name])
  # Silhouettes alone are other prepared data, of the same files.
  plain = datasets.prepare(builds.data_of(dataset, tmp_path / "tree"))
  assert "heatmaps" not in plain.info.features
  assert plain.data_dir != builder.data_dir
  assert builds.names(plain) == builds.names(builder)


def _key(dataset, name):
  subject = name.split("-")[0]
  keys = trees.sequences(dataset, subject)
  return next(key for key in keys if "-".join(key) == name)


def test_black_frames_are_dropped_from_both(tmp_path):
  root = tmp_path / "tree"
  key = ("001", "nm-01", "000")
  values = trees.normalised("casiab", *key, 5)
  maps = trees.heatmaps(*key, 5)
  values[[0, 3]] = 0
  trees.write_pickles("casiab", root.joinpath(*key), values, maps)
  # Raw frames, of which the pre-treatment drops one.
  other = ("001", "nm-02", "000")
  drawn = trees.images(*other, 5)
  drawn[1] = 0
  trees.write_raw(root.joinpath(*other), drawn)
  (root.joinpath(*other) / "heatmap.pkl").write_bytes(pickle.dumps(maps))
  builder = datasets.prepare(
    builds.data_of("casiab", root, modalities=("silhouettes", "heatmaps"))
  )
  found = builds.read(builder, "heatmaps")["train"]
  np.testing.assert_array_equal(found["001-nm-01-000"], maps[[1, 2, 4]])
  np.testing.assert_array_equal(found["001-nm-02-000"], maps[[0, 2, 3, 4]])
  kept = builds.read(builder)["train"]["001-nm-01-000"]
  np.testing.assert_array_equal(kept, values[[1, 2, 4]])


def test_heat_maps_that_do_not_fit_are_reported(tmp_path):
  root = tmp_path / "tree"
  trees.write(root, "casiab", "pickle", 2, with_heatmaps=True)
  (root / "001/nm-01/000/0_heatmap.pkl").unlink()
  maps = trees.heatmaps("001", "nm-01", "090", 5)
  path = root / "001/nm-01/090/0_heatmap.pkl"
  path.write_bytes(pickle.dumps(maps))
  builder = datasets.prepare(
    builds.data_of("casiab", root, modalities=("silhouettes", "heatmaps"))
  )
  assert builds.skipped(builder) == (
    f"{root}/001/nm-01/000\tno pickle of heat maps\n"
    f"{root}/001/nm-01/090\t5 heat maps do not fit 6 silhouettes\n"
  )
  assert len(builds.names(builder)["train"]) == 6


def test_what_is_prepared_is_a_plain_tensor(tmp_path):
  expected = trees.write(tmp_path / "tree", "oumvlp", "pickle", 2, 1)
  builder = datasets.prepare(builds.data_of("oumvlp", tmp_path / "tree"))
  text = pathlib.Path(builder.data_dir, "features.json").read_text()
  assert "tensor_feature.Tensor" in text and "data_pipelines" not in text
  anonymous = tfds.builder_from_directory(builder.data_dir)
  found = builds.read(anonymous)["test"]
  assert found
  for name, values in found.items():
    np.testing.assert_array_equal(values, expected[name])


def test_subjects_may_be_numbers(tmp_path):
  trees.write(tmp_path / "tree", "gait3d", "pickle", 4, 1)
  data = builds.data_of("gait3d", tmp_path / "tree", train_subjects=(2,))
  found = builds.names(datasets.prepare(data))
  assert {name[:4] for name in found["train"]} == {"0002"}


@pytest.mark.parametrize(
  "dataset, key",
  [
    ("hid", ("0500", "00", "default")),
    ("casiae", ("201", "H-scene1-nm-1", "000")),
  ],
)
def test_frames_that_are_published_normalised_are_halved(
  tmp_path, dataset, key
):
  """They are neither cut nor centred again."""
  frames = np.zeros((2, 64, 64), np.uint8)
  frames[0, 3:60, 40:50] = 255
  frames[1, 5:64, 10:30] = 255
  folder = tmp_path / "tree" / trees.raw_folder(dataset, *key)
  trees.write_raw(folder, frames.repeat(2, axis=1).repeat(2, axis=2))
  builder = datasets.prepare(builds.data_of(dataset, tmp_path / "tree"))
  found = builds.read(builder)["test"]["-".join(key)]
  np.testing.assert_array_equal(found, frames)
