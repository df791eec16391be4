"""A user's mistake is one line on standard error and status 2."""

import os
import re
import shlex
import signal
import subprocess
import sys

import pytest

from data_pipelines import datasets
from gaitkd_jax import cli
from gaitkd_jax import config as config_lib
from tests.helpers import command
from tests.helpers import configs
from tests.helpers import paths

SMOKE = "--config=configs/walkers_baseline.py:smoke"
# What a shell starts in the background ignores ctrl-C.
INTERRUPTIBLE = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("gaitkd_jax.main", run_name="__main__", alter_sys=True)
"""
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
    (
      (CASIAB, "--config.foo=1", "--config.train.steps=x", "--config.bar=1"),
      "3 mistakes: (1) --config.foo: ",
    ),
  ],
)
def test_one_line_and_status_2(tmp_path, args, words):
  check_one_line(tmp_path, args, words)


def test_a_platform_that_is_not_there_is_one_line(tmp_path):
  args = (SMOKE,)
  words = "JAX_PLATFORMS=quantum"
  check_one_line(tmp_path, args, words, JAX_PLATFORMS="quantum")


def test_a_bug_keeps_its_traceback():
  code = "from gaitkd_jax import cli; cli.run(lambda _: {}['bug'])"
  done = command.run(program=("-c", code))
  assert done.returncode == 1
  assert "Traceback" in done.stderr and "KeyError: 'bug'" in done.stderr


def test_ctrl_c_while_a_library_is_loaded_is_a_stop():
  code = """
from gaitkd_jax import cli
from gaitkd_jax import errors
from gaitkd_jax.hosts import stopping
def main(_):
  try:
    try:
      raise stopping.stopped()
    except errors.Stopped as stop:
      raise ImportError("initialization failed") from stop
  except ImportError as e:
    raise errors.UserError("the library is missing") from e
cli.run(main)
"""
  done = command.run(program=("-c", code))
  assert (done.returncode, done.stderr) == (143, "stopped\n")


def test_a_reader_that_goes_is_one_line():
  with subprocess.Popen(
    [sys.executable, *DESCRIBE, "--config=configs/walkers.py:smoke"],
    cwd=paths.ROOT,
    env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(paths.ROOT)},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
  ) as process:
    process.stdout.close()
    said = process.stderr.read()
  assert said == b"stopped: nobody reads the output any more\n"
  assert process.returncode == 141


@pytest.mark.slow
def test_a_full_disk_is_said_and_ends_the_run(tmp_path, prepared):
  """A limit on the size of files stands for it; each save is tried."""
  config = configs.smoke_config(prepared, "walkers_baseline")
  datasets.prepare(config.data)
  module = [sys.executable, "-m", "gaitkd_jax.main", SMOKE]
  module += [f"--config.data.prepared={prepared}"]
  module += ["--config.train.steps=4", "--config.train.checkpoint_every=2"]
  module += ["--config.eval.report=False", f"--workdir={tmp_path / 'run'}"]
  program = shlex.join(module)
  done = subprocess.run(
    ["bash", "-c", f"ulimit -f 30; {program}"],
    cwd=paths.ROOT,
    env=os.environ
    | {
      "JAX_PLATFORMS": "cpu",
      "PYTHONPATH": str(paths.ROOT),
    },
    capture_output=True,
    text=True,
  )
  assert done.returncode == 2, done.stderr
  folder = tmp_path / "run" / "checkpoints"
  # Those of steps 2 and 4, and that of step 4 once more at the end.
  # What the pipelines cannot keep either is said before.
  assert "Traceback" not in done.stderr, done.stderr
  *before, two, four, again = done.stderr.splitlines()
  assert all("index_" in line for line in before), done.stderr
  for line, step in ((two, 2), (four, 4)):
    assert line == (
      f"checkpoint {step} could not be written (File too large); the run goes "
      "on: there is no whole one yet"
    )
  assert again.startswith("error: checkpoint 4 could not be written (File too")
  assert "there is no whole one yet: make room" in again
  assert [p.name for p in folder.iterdir()] == []
  assert (tmp_path / "run" / "eval" / "4.json").exists()


@pytest.mark.slow
def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path):
  with subprocess.Popen(
    [
      *(sys.executable, "-c", INTERRUPTIBLE, SMOKE),
      "--config.train.steps=100000",
      f"--workdir={tmp_path / 'run'}",
    ],
    cwd=paths.ROOT,
    env=os.environ
    | {
      "HOME": str(tmp_path),
      "JAX_PLATFORMS": "cpu",
      "PYTHONPATH": str(paths.ROOT),
    },
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  ) as process:
    for line in process.stdout:
      if line.startswith("step 3:"):
        break
    process.send_signal(signal.SIGINT)
    process.stdout.read()
    said = process.stderr.read()
  assert process.returncode == 75, said
  assert said.count("\n") == 1
  stopped = re.match(
    r"stopped by SIGINT after step (\d+), saved in (\S+);", said
  )
  assert "; the same command goes on (" in said and int(stopped[1]) >= 3
  saved = tmp_path / "run" / "checkpoints" / stopped[1]
  assert stopped[2] == str(saved) and saved.is_dir()


def check_one_line(tmp_path, args, words, **environment):
  done = command.run(*args, f"--workdir={tmp_path / 'run'}", **environment)
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
