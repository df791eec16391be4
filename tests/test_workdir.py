"""Result files: whole or not there, and none of another protocol replaced."""

import json

import pytest

from gaitkd_jax import errors
from gaitkd_jax import workdir as workdir_lib


def test_files_are_whole_or_not_there(tmp_path, monkeypatch):
  workdir_lib.write({"all/rank1": float("nan")}, "1", tmp_path, step=1)
  path = tmp_path / "eval" / "1.json"
  assert json.loads(path.read_text()) == {"step": 1, "all/rank1": None}

  def fail(self, target):
    raise OSError("no space")

  monkeypatch.setattr("pathlib.Path.replace", fail)
  with pytest.raises(errors.UserError, match="no space"):
    workdir_lib.write({"all/rank1": 2.0}, "1", tmp_path, step=1)
  assert json.loads(path.read_text())["all/rank1"] is None


def test_names_of_other_protocols(tmp_path):
  assert workdir_lib.name_of("7", tmp_path, "lists") == "7"
  workdir_lib.write({}, "7", tmp_path, protocol="casiab")
  assert workdir_lib.name_of("7", tmp_path, "casiab") == "7"
  assert workdir_lib.name_of("7", tmp_path, "lists") == "7_lists"
  (tmp_path / "eval" / "7.json").write_text("damaged")
  assert workdir_lib.name_of("7", tmp_path, "lists") == "7"


def test_a_workdir_that_cannot_be_made(tmp_path):
  workdir_lib.make_workdir(tmp_path / "a" / "b")
  assert not list((tmp_path / "a" / "b").iterdir())
  (tmp_path / "file").write_text("")
  with pytest.raises(errors.UserError, match="cannot be written"):
    workdir_lib.make_workdir(tmp_path / "file" / "run")


def names(workdir):
  return sorted(path.name for path in workdir.glob("*.json"))


def test_configs_that_were_replaced_are_kept(tmp_path):
  first, second, third = ({"seed": i} for i in range(3))
  assert workdir_lib.config_until(tmp_path, 4) is None
  workdir_lib.write_config(tmp_path, first, None, {})
  workdir_lib.write_config(tmp_path, first, 2, {})
  assert names(tmp_path) == ["config.json"]
  workdir_lib.write_config(tmp_path, second, 4, {"seed": (0, 1)})
  assert names(tmp_path) == ["config.4.json", "config.json", "resumed.json"]
  # It was stopped before it had saved anything: step 4 is still of the first.
  assert workdir_lib.config_until(tmp_path, 4) == first
  assert workdir_lib.config_until(tmp_path, 5) == second
  workdir_lib.write_config(tmp_path, third, 4, {"seed": (0, 2)})
  assert workdir_lib.configs(tmp_path) == [first, third]
  workdir_lib.write_config(tmp_path, second, 8, {"seed": (2, 1)})
  assert workdir_lib.configs(tmp_path) == [first, third, second]
  places = workdir_lib.resumptions(tmp_path)
  assert [(p.step, p.changed) for p in places] == [
    (4, {"seed": [0, 2]}),
    (8, {"seed": [2, 1]}),
  ]
  # Later checkpoints were deleted: what came after step 6 is done anew.
  assert workdir_lib.config_until(tmp_path, 6) == third
  workdir_lib.write_config(tmp_path, third, 6, {})
  assert workdir_lib.configs(tmp_path) == [first, third]
  assert [p.step for p in workdir_lib.resumptions(tmp_path)] == [4]
  # Back to the first settings at step 4: nothing was changed.
  workdir_lib.write_config(tmp_path, first, 4, {})
  assert names(tmp_path) == ["config.json"]
  workdir_lib.write_config(tmp_path, second, 4, {"seed": (0, 1)})
  workdir_lib.write_config(tmp_path, second, None, {})  # a new run
  assert names(tmp_path) == ["config.json"]
  (tmp_path / "resumed.json").write_text("[damaged")
  assert workdir_lib.resumptions(tmp_path) == []


def test_a_workdir_in_a_store(any_bucket):
  """The files of a workdir on the disk, with the same content."""
  workdir = f"{any_bucket.url}/runs/a"
  workdir_lib.make_workdir(workdir)
  assert workdir_lib.config_until(workdir, 4) is None
  first, second = {"seed": 0}, {"seed": 1}
  workdir_lib.write_config(workdir, first, None, {})
  workdir_lib.write_config(workdir, second, 4, {"seed": (0, 1)})
  assert workdir_lib.configs(workdir) == [first, second]
  assert workdir_lib.config_until(workdir, 4) == first
  assert [(p.step, p.changed) for p in workdir_lib.resumptions(workdir)] == [
    (4, {"seed": [0, 1]})
  ]
  workdir_lib.write_config(workdir, second, None, {})
  assert workdir_lib.configs(workdir) == [second]
  path = workdir_lib.write({"a/rank1": 1.0}, "7", workdir, protocol="casiab")
  assert str(path) == f"{workdir}/eval/7.json"
  assert workdir_lib.name_of("7", workdir, "lists") == "7_lists"
  assert any_bucket.names() == ["runs/a/config.json", "runs/a/eval/7.json"]
  # A store that refuses is not taken for one that has no config.
  any_bucket.proxy.fail(403, "GET|HEAD", "config.json")
  with pytest.raises(OSError, match="access|denied|Forbidden"):
    workdir_lib.config_until(workdir, 4)
