"""A user's mistake is one line on standard error and status 2."""

import os
import subprocess
import sys

import pytest

from gaitkd_jax import cli
from gaitkd_jax import config as config_lib
from tests.helpers import command
from tests.helpers import configs
from tests.helpers import paths

DESCRIBE = ("scripts/describe_model.py",)
CASIAB = "--config=configs/gaitbase.py:casiab_smoke"


@pytest.mark.parametrize(
  "args, words",
  [
    ((), "--config"),
    (("--config=configs/none.py",), "configs/none.py"),
    (("--config=configs/none.py:help",), "configs/none.py"),
    (("--config=configs/casiab.py:smok",), "no variant 'smok'"),
    ((CASIAB, "--config.optim.learning_rat=1"), "learning_rat"),
    ((CASIAB, "--config.foo=1"), "foo"),
    ((CASIAB, "--config.train.steps=many"), "many"),
    ((CASIAB, "--mode=fly"), "fly"),
    ((CASIAB, "surplus"), "surplus"),
    ((CASIAB, "--config.data.root=/no/such"), "/no/such"),
  ],
)
def test_one_line_and_status_2(tmp_path, args, words):
  done = command.run(*args, f"--workdir={tmp_path / 'run'}")
  assert done.returncode == 2, done.stderr
  assert words in done.stderr
  assert done.stderr.count("\n") == 1, done.stderr
  assert "Traceback" not in done.stderr
  assert not list(tmp_path.rglob("metrics.jsonl"))


def test_libtpu_is_quiet_where_there_is_no_tpu():
  """JAX finds it wherever the tests' packages are installed."""
  pytest.importorskip("libtpu")
  code = "from gaitkd_jax import cli; cli.run(lambda _: print(jax.devices()))"
  done = command.run(program=("-c", f"import jax; {code}"), JAX_PLATFORMS="")
  assert done.stderr == ""
  assert done.stdout == "[CpuDevice(id=0)]\n"


@pytest.mark.parametrize("program", [("-m", "gaitkd_jax.main"), DESCRIBE])
def test_help_of_a_config_is_printed_with_status_0(program):
  # Of gaitgl.py alone: all files answer through the same function.
  done = command.run(
    "--config=configs/gaitgl.py:help",
    "--config.train.steps=many",
    program=program,
  )
  assert done.returncode == 0, done.stderr
  assert done.stderr == ""
  module = configs.module("gaitgl")
  with pytest.raises(config_lib.Help) as caught:
    module.get_config("help")
  assert done.stdout == f"{caught.value}\n"
  assert "Rank-1 97.4 / 94.5 / 83.8 (NM / BG / CL)" in done.stdout


@pytest.mark.parametrize(
  "config, name",
  [
    ("configs/casiab.py", "casiab"),
    ("configs/gaitbase.py:grew", "gaitbase_grew"),
    ("/a.b/gait3d.py:baseline_smoke", "gait3d_baseline_smoke"),
  ],
)
def test_runs_of_two_variants_have_two_folders(config, name):
  assert cli.run_name(config) == name


def test_help_may_be_read_in_part():
  """As `| head` does."""
  with subprocess.Popen(
    [
      sys.executable,
      "-m",
      "gaitkd_jax.main",
      "--config=configs/distill.py:help",
    ],
    cwd=paths.ROOT,
    env=os.environ | {"JAX_PLATFORMS": "cpu"},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
  ) as process:
    process.stdout.read(1)
    process.stdout.close()
    assert process.stderr.read() == b""
  assert process.returncode == 0
