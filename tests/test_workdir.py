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
