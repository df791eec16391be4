"""Apache Beam reads what this process reads."""

import importlib.util
import os

import numpy as np
import pytest

from data_pipelines import datasets
from data_pipelines import prepare
from gaitkd_jax.errors import UserError
from tests.helpers import builds
from tests.helpers import command
from tests.helpers import trees


@pytest.mark.skipif(
  not importlib.util.find_spec("apache_beam"), reason="needs the extra beam"
)
# Beam holds protobuf back at a version that warns of what TFDS calls.
@pytest.mark.filterwarnings("ignore:label.. is deprecated:DeprecationWarning")
def test_beam_gives_the_same(tmp_path):
  root = tmp_path / "tree"
  trees.write(root, "grew", "raw", 4, 2)
  (root / "train" / "00001" / "empty").mkdir()
  plain = datasets.prepare(builds.data_of("grew", root))
  # In a process of its own: Beam warns of what pytest makes errors.
  flags = [
    "--dataset=grew",
    f"--root={root}",
    f"--prepared={tmp_path}/beam",
    "--beam_pipeline_options=runner=DirectRunner",
  ]

  def run():
    return command.run(*flags, program=("-m", "data_pipelines.prepare"))

  done = run()
  assert done.returncode == 0, done.stderr
  assert "skipped: 1 sequences" in done.stdout
  data = builds.data_of("grew", "", prepared=f"{tmp_path}/beam")
  found, expected = builds.read(datasets.prepare(data)), builds.read(plain)
  assert found.keys() == expected.keys()
  for split, part in expected.items():
    assert found[split].keys() == part.keys()
    for name, values in part.items():
      np.testing.assert_array_equal(found[split][name], values)
  left = sorted(path.name for path in (tmp_path / "beam").glob("grew/*/*/*"))
  assert left == sorted(os.listdir(plain.data_dir))
  # What is damaged is one line, and nothing stays.
  path = next((root / "test" / "probe").glob("*/*2.png"))
  path.write_bytes(path.read_bytes()[:50])
  flags[2] = f"--prepared={tmp_path}/damaged"
  done = run()
  assert done.returncode == 2
  last = done.stderr.splitlines()[-1]
  assert last.startswith("error:") and f"{path}: is cut short" in last
  assert not list((tmp_path / "damaged").glob("grew/**/*"))
  flags[3] = "--beam_pipeline_options=runner=NoRunner"
  done = run()
  assert done.returncode == 2
  assert "the runner NoRunner cannot be used" in done.stderr.splitlines()[-1]


@pytest.mark.skipif(
  bool(importlib.util.find_spec("apache_beam")), reason="needs no extra beam"
)
def test_beam_that_is_not_there_is_one_line(tmp_path):
  arguments = ["--dataset=ccpg", f"--root={tmp_path}"]
  with pytest.raises(UserError, match="install the extra beam"):
    prepare.main([*arguments, "--beam_pipeline_options="])
