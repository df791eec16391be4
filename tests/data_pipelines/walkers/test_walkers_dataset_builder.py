"""The TFDS builder of the walkers."""

import pathlib

import numpy as np
import pytest

from data_pipelines import build_notes
from data_pipelines.walkers import sequence
from data_pipelines.walkers import spec as spec_lib
from data_pipelines.walkers import walkers_dataset_builder
from tests.helpers import walkers


@pytest.mark.slow
def test_builder_writes_both_splits(tmp_path):
  config = walkers_dataset_builder.WalkersConfig(
    name="short", size=walkers.SHORT
  )
  builder = walkers_dataset_builder.Builder(config=config, data_dir=tmp_path)
  builder.download_and_prepare()
  subjects = {}
  for split, count in (("train", 12), ("test", 8)):
    assert builder.info.splits[split].num_examples == count
    examples = list(builder.as_dataset(split=split).as_numpy_iterator())
    assert len(examples) == count
    subjects[split] = {e["subject"].decode() for e in examples}
    for e in examples[:3]:
      name = [e[key].decode() for key in ("subject", "condition", "view")]
      assert e["silhouettes"].dtype == np.uint8
      np.testing.assert_array_equal(
        e["silhouettes"], sequence.render_sequence(walkers.SHORT, *name)
      )
  assert subjects == {"train": {"001", "002", "003"}, "test": {"004", "005"}}


def test_builder_offers_all_sizes(tmp_path):
  for name, size in spec_lib.SIZES.items():
    builder = walkers_dataset_builder.Builder(config=name, data_dir=tmp_path)
    assert builder.builder_config.size == size
    assert builder.info.features["silhouettes"].feature.shape == (64, 64)


def test_what_is_prepared_is_found(tmp_path):
  find = walkers_dataset_builder.Builder.builds
  assert find(tmp_path) == {}
  for name in ("small", "tiny_heatmaps", "short"):
    builder = walkers_dataset_builder.Builder(config="tiny", data_dir=tmp_path)
    version = pathlib.Path(builder.data_dir).name
    folder = tmp_path / "walkers" / name / version
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").touch()
  # One that was left unfinished, and one of another version.
  (tmp_path / "walkers" / "full" / version).mkdir(parents=True)
  other = tmp_path / "walkers" / "tiny" / "0.1.0"
  other.mkdir(parents=True)
  (other / "dataset_info.json").touch()
  assert find(tmp_path) == {
    "small": build_notes.Build(("silhouettes",), "small"),
    "tiny_heatmaps": build_notes.Build(("silhouettes", "heatmaps"), "tiny"),
  }
