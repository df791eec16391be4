"""What is known of a checkpoint, by any of its names."""

import json

import pytest

from gaitkd_jax import config as config_lib
from gaitkd_jax.export import source
from tests.helpers import exports


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  folder = tmp_path_factory.mktemp("workdir")
  exports.save(folder)
  (folder / "eval").mkdir()
  for name in ("5", "5_lists", "50", "6"):
    text = json.dumps({"step": 5, "protocol": "casiab", "NM/rank1": 50.0})
    (folder / "eval" / f"{name}.json").write_text(text)
  (folder / "eval" / "5_of_a_file.json").write_text('{"file": "a.onnx"}')
  (folder / "eval" / "5_damaged.json").write_text("{")
  return folder


@pytest.mark.parametrize("place", ["", "checkpoints", "checkpoints/5"])
def test_a_checkpoint_by_its_names(workdir, place):
  found = source.find(str(workdir / place), None)
  assert found.step == 5 and found.workdir == workdir
  assert found.model["name"] == "deepgaitv2" and found.form == {}
  assert found.data == "walkers" and len(found.classes) == 3
  names = [name for name, _ in found.evaluations()]
  assert names == ["5.json", "5_lists.json"]


@pytest.mark.parametrize(
  "config, metric, data",
  [
    (None, "euclidean", ""),
    (
      {"eval": {"metric": "cosine"}, "data": {"name": "grew"}},
      "cosine",
      "grew",
    ),
    ({"eval": {"metric": "other"}}, "euclidean", ""),
    ([], "euclidean", ""),
  ],
)
def test_the_config_of_its_training(tmp_path, config, metric, data):
  exports.save(tmp_path, classes=[])
  if config is not None:
    (tmp_path / "config.json").write_text(json.dumps(config))
  found = source.find(str(tmp_path), None)
  assert (found.metric, found.data) == (metric, data)


def test_a_config_says_which_network_it_is(tmp_path):
  exports.save(tmp_path, model=exports.MODEL | {"num_classes": 2})
  config = config_lib.default()
  # A checkpoint that says it is believed.
  assert source.find(str(tmp_path), config).model["num_classes"] == 2
