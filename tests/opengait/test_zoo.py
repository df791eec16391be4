"""A copy of OpenGait's zoo is converted at once."""

import errno

import jax
import numpy as np
import pytest

from gaitkd_jax import checkpoint
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax.opengait import convert
from gaitkd_jax.opengait import inference
from gaitkd_jax.opengait import zoo
from tests.helpers import torch_files
from tests.parity import vectors
from tests.parity import weights


def put(folder, place, network, prefix="module.", **options):
  """Writes a network of the vectors as OpenGait's training would."""
  _, meta = vectors.load(network)
  state = weights.state_dict(meta["state"])
  content, blocks = torch_files.training(state, prefix, **options)
  dataset, model, save_name, step = place.split("/")
  path = folder / dataset / model / save_name / "checkpoints"
  path /= f"{save_name}-{step}.pt"
  torch_files.write_zip(path, content, blocks)
  return path


def recipe(flag, dataset, network, **values):
  _, meta = vectors.load(network)
  shapes = {key: tuple(shape) for key, shape in meta["state"].items()}
  return zoo.Recipe(flag, dataset, inference.model_config(shapes) | values)


def outcomes(rows):
  return {
    row.name.split("/")[2]: row.outcome for row in rows if "/" in row.name
  }


@pytest.fixture
def copy(tmp_path):
  folder = tmp_path / "zoo"
  put(folder, "CASIA-B/Baseline/GaitBase_DA/00007", "gaitbase")
  put(folder, "CASIA-B/Baseline/GaitBase_DA/00009", "gaitbase", step=9)
  put(folder, "CCPG/DeepGaitV2/Deep/00007", "deepgaitv2_p3d", prefix="")
  return folder


def test_every_file_becomes_a_step_of_a_workdir(copy, tmp_path, capsys):
  output = tmp_path / "out"
  rows = zoo.convert_all(copy, output, [])
  assert [row.outcome for row in rows] == ["converted"] * 3
  assert [row.step for row in rows] == [7, 9, 7]
  assert [row.arrays for row in rows] == [66, 66, 96]
  for place, network in (
    ("CASIA-B/Baseline/GaitBase_DA", "gaitbase"),
    ("CCPG/DeepGaitV2/Deep", "deepgaitv2_p3d"),
  ):
    _, meta = vectors.load(network)
    workdir = output / place
    config = checkpoint.restored_meta(workdir)["model"]
    found = checkpoint.restore_model(
      workdir,
      models.abstract_variables(models.create_model(config)),
      sharding.replicated(sharding.create_mesh(1)),
    )
    expected = convert.variables_from_opengait(
      weights.state_dict(meta["state"]), config
    )
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    row = next(row for row in rows if row.name.startswith(place))
    assert row.parameters == meta["params"]
  assert checkpoint.restored_step(output / "CASIA-B/Baseline/GaitBase_DA") == 9
  assert "[2/3] CASIA-B/Baseline/GaitBase_DA/" in capsys.readouterr().out
  assert not (output / ".unfinished").exists()


def test_what_is_there_is_not_done_again(copy, tmp_path, monkeypatch):
  output = tmp_path / "out"
  save = checkpoint.save_model
  saved = []

  def stopped(folder, variables, meta, step):
    if saved:
      save(folder, variables, meta, step)
      raise errors.Stopped("stopped")  # when all but the renaming is done
    save(folder, variables, meta, step)
    saved.append(step)

  monkeypatch.setattr(checkpoint, "save_model", stopped)
  with pytest.raises(errors.Stopped, match="1 of 3 files are done") as stop:
    zoo.convert_all(copy, output, [])
  assert stop.value.saved
  assert sorted(x.name for x in output.rglob("checkpoints/*")) == ["7"]
  assert not (output / ".unfinished").exists()
  monkeypatch.setattr(checkpoint, "save_model", save)
  rows = zoo.convert_all(copy, output, [])
  assert [row.outcome for row in rows] == [
    *("there already", "converted", "converted")
  ]


def test_a_failure_does_not_stop_the_others(copy, tmp_path):
  path = put(copy, "CASIA-B/Baseline/Cut/00001", "gaitbase")
  path.write_bytes(path.read_bytes()[:1000])
  path = put(copy, "CASIA-B/Baseline/Flipped/00001", "gaitbase")
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 1
  path.write_bytes(data)
  path = put(copy, "CASIA-B/Baseline/Evil/00001", "gaitbase")
  mkdir = torch_files.Call(
    torch_files.Name("os", "mkdir"), (str(tmp_path / "ran"),)
  )
  torch_files.write_zip(path, {"model": mkdir}, {})
  # Of a network that OpenGait has under this name, but of other layers.
  state, blocks = torch_files.described({"layer9.weight": np.zeros(3, "f4")})
  for place in ("Baseline/Forked", "SMPLGait/SMPLGait"):
    name = place.split("/")[1]
    torch_files.write_zip(
      copy / "Gait3D" / place / "checkpoints" / f"{name}-1.pt", state, blocks
    )
  _, meta = vectors.load("gaitbase")
  more = weights.state_dict(meta["state"]) | {"gcn.weight": np.zeros(3, "f4")}
  for place in ("Baseline/More", "ParsingGait/ParsingGait"):
    name = place.split("/")[1]
    torch_files.write_zip(
      copy / "Gait3D" / place / "checkpoints" / f"{name}-1.pt",
      *torch_files.described(more),
    )
  torch_files.write_zip(copy / "stray.pt", state, blocks)
  torch_files.write_zip(copy / ".cache" / "hidden.pt", state, blocks)
  rows = zoo.convert_all(copy, tmp_path / "out", [])
  assert outcomes(rows) == {
    "Cut": "failed",
    "Deep": "converted",
    "Evil": "failed",
    "Flipped": "failed",
    "Forked": "failed",
    "GaitBase_DA": "converted",
    "More": "failed",
    "ParsingGait": "not supported",
    "SMPLGait": "not supported",
  }
  reasons = {row.name.split("/")[-1]: row.reason for row in rows}
  assert "no whole checkpoint" in reasons["Cut-00001.pt"]
  crc = "is no whole checkpoint of PyTorch (Bad CRC-32"
  assert reasons["Flipped-00001.pt"].startswith(crc)
  assert "refused os.mkdir" in reasons["Evil-00001.pt"]
  assert "layer9.weight" in reasons["Forked-1.pt"]
  assert "left over gcn.weight" in reasons["More-1.pt"]
  assert "no network ParsingGait" in reasons["ParsingGait-1.pt"]
  assert "is not at <data set>" in reasons["stray.pt"]
  assert ".cache" not in "".join(reasons)
  assert not (tmp_path / "ran").exists()
  # Nothing is left of what failed.
  folders = {x.parent.name for x in (tmp_path / "out").rglob("checkpoints")}
  assert folders == {"Deep", "GaitBase_DA"}
  lines = zoo.table(rows).splitlines()
  assert len(lines) == 1 + len(rows)
  assert any("gaitbase 1-1-1-1, 10 classes" in line for line in lines)


def test_recipes_tell_what_weights_do_not(tmp_path):
  folder = tmp_path / "zoo"
  put(folder, "CCPG/DeepGaitV2/DeepGaitV2/00007", "deepgaitv2_p3d")
  put(folder, "Gait3D/DeepGaitV2/DeepGaitV2/00007", "deepgaitv2_p3d")
  recipes = [
    recipe("far.py", "ccpg", "deepgaitv2_2d"),
    recipe("x.py:ccpg", "ccpg", "deepgaitv2_p3d", retrieval="neck"),
    recipe("x.py:grew", "grew", "deepgaitv2_p3d"),
  ]
  recipes[1].model["num_classes"] = 100
  output = tmp_path / "out dir"
  ccpg, gait3d = zoo.convert_all(folder, output, recipes)
  assert ccpg.told == ["num_classes is 10, and 100 in x.py:ccpg"]
  workdir = output / "CCPG/DeepGaitV2/DeepGaitV2"
  assert ccpg.use == (
    "use: --config=x.py:ccpg --config.model.num_classes=10 "
    f"'--config.eval.checkpoint={workdir}'"
  )
  assert checkpoint.restored_meta(workdir)["model"]["retrieval"] == "neck"
  assert gait3d.told == ["no recipe is of deepgaitv2 on Gait3D"]
  assert not gait3d.use


def test_names_that_disagree(tmp_path):
  folder = tmp_path / "zoo"
  put(folder, "HID/DeepGaitV2/Plain/00003", "gaitbase_plain", step=8)
  put(folder, "HID/DeepGaitV2/Plain/00004", "gaitbase_plain", step=8)
  first, second = zoo.convert_all(folder, tmp_path / "out", [])
  assert first.step == 8 and first.outcome == "converted"
  assert first.told[:2] == [
    "the name says step 3, the file says 8",
    "the folder says DeepGaitV2, the weights are of Baseline",
  ]
  assert second.outcome == "failed"
  assert "Plain-00003.pt is of the same step" in second.reason


def test_steps_of_names_where_files_have_none(tmp_path):
  put(tmp_path / "zoo", "HID/Baseline/Plain/00003", "gaitbase_plain", step=0)
  (row,) = zoo.convert_all(tmp_path / "zoo", tmp_path / "out", [])
  assert row.step == 3


def test_what_is_in_the_way_is_kept(tmp_path):
  put(tmp_path / "zoo", "HID/Baseline/Plain/00003", "gaitbase_plain", step=3)
  place = tmp_path / "out/HID/Baseline/Plain/checkpoints/3"
  place.mkdir(parents=True)
  (row,) = zoo.convert_all(tmp_path / "zoo", tmp_path / "out", [])
  assert row.outcome == "failed"
  assert row.reason == f"{place} is there, and no checkpoint; remove it"


def test_a_full_disk_and_a_bug(copy, tmp_path, monkeypatch):
  def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device", "/x")

  monkeypatch.setattr(checkpoint, "save_model", full)
  rows = zoo.convert_all(copy, tmp_path / "out", [])
  assert {row.outcome for row in rows} == {"failed"}
  assert "/x" in rows[0].reason

  def bug(*_):
    raise AttributeError("a bug")

  monkeypatch.setattr(checkpoint, "save_model", bug)
  with pytest.raises(AttributeError):
    zoo.convert_all(copy, tmp_path / "out", [])


def test_no_zoo(tmp_path):
  with pytest.raises(errors.UserError, match="is no folder"):
    zoo.find(tmp_path / "none")
  with pytest.raises(errors.UserError, match="has no file"):
    zoo.find(tmp_path)
