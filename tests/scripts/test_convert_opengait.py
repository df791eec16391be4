"""The program that converts OpenGait's checkpoints, there and back."""

import json
import os
import shlex
import sys

import numpy as np
import pytest

from gaitkd_jax import checkpoint
from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax.opengait import convert
from gaitkd_jax.opengait import torch_file
from tests.helpers import command
from tests.helpers import paths
from tests.helpers import torch_files
from tests.parity import vectors
from tests.parity import weights


@pytest.fixture(scope="module")
def gaitbase():
  _, meta = vectors.load("gaitbase")
  config = vectors.model_config(meta["model_cfg"])
  return weights.state_dict(meta["state"]), config


def run_script(*args, **environment):
  program = ("scripts/convert_opengait.py",)
  return command.run(*args, program=program, **environment)


def convert_file(path, output, config, *more, **environment):
  """Runs the script; the config is CASIA-B's baseline made narrow."""
  model = " ".join(
    f"--config.model.{key}={str(value).replace(' ', '')}"
    for key, value in config.items()
    if key != "name"
  )
  return run_script(
    f"--input={path}",
    f"--output={output}",
    "--config=configs/gaitbase.py:casiab",
    *model.split(),
    *more,
    **environment,
  )


def test_there_and_back(gaitbase, tmp_path):
  state, config = gaitbase
  dressed = {f"module.{key}": value for key, value in state.items()}
  dressed["module.teacher_models.big.FCs.fc_bin"] = np.zeros(3)
  np.savez(tmp_path / "x.npz", **dressed)
  done = convert_file(tmp_path / "x.npz", tmp_path / "out", config)
  assert done.returncode == 0, done.stderr
  assert "matched: 66 arrays: " in done.stdout
  assert "fc 1, neck 5, stage1 " in done.stdout
  assert "left out: 1 of teachers\n" in done.stdout
  assert "module. dropped from 67 keys" in done.stdout
  assert "retrieval=neck" in done.stdout
  module = models.create_model(config)
  variables = checkpoint.restore_model(
    tmp_path / "out",
    models.abstract_variables(module),
    sharding.replicated(sharding.create_mesh(1)),
  )
  expected = vectors.flat(convert.variables_from_opengait(state, config))
  for path, value in vectors.flat(variables).items():
    np.testing.assert_array_equal(value, expected[path])
  again = convert_file(tmp_path / "x.npz", tmp_path / "out", config)
  assert again.returncode == 2 and "exists" in again.stderr
  done = convert_file(
    tmp_path / "out", tmp_path / "back" / "y.npz", config, "--reverse"
  )
  assert done.returncode == 0, done.stderr
  with np.load(tmp_path / "back" / "y.npz") as back:
    floats = {k: back[k] for k in back.files if back[k].dtype == np.float32}
  assert floats.keys() == state.keys()
  for key, value in state.items():
    np.testing.assert_array_equal(floats[key], value)


def test_reads_opengaits_yaml(gaitbase, tmp_path):
  state, _ = gaitbase
  _, meta = vectors.load("gaitbase")
  np.savez(tmp_path / "x.npz", **state)
  # JSON is YAML, too.
  (tmp_path / "x.yaml").write_text(json.dumps({"model_cfg": meta["model_cfg"]}))
  common = (f"--input={tmp_path / 'x.npz'}", f"--output={tmp_path / 'out'}")
  yaml = f"--opengait_config={tmp_path / 'x.yaml'}"
  done = run_script(*common, yaml, "--config=configs/gaitbase.py:casiab")
  assert done.returncode == 2 and "give one" in done.stderr
  done = run_script(*common)
  assert done.returncode == 2 and "--opengait_config" in done.stderr
  done = run_script(*common, yaml)
  assert done.returncode == 0, done.stderr
  assert "channels=(8, 16, 24, 32)" in done.stdout
  assert "matched: 66 arrays" in done.stdout


def test_weights_for_larger_frames(tmp_path):
  """HID's published network: kept for Python, refused by an evaluation."""
  arrays, meta = vectors.load("gaitbase_plain_hid")
  np.savez(tmp_path / "x.npz", **weights.state_dict(meta["state"]))
  (tmp_path / "x.yaml").write_text(json.dumps({"model_cfg": meta["model_cfg"]}))
  done = run_script(
    f"--input={tmp_path / 'x.npz'}",
    f"--output={tmp_path / 'out'}",
    f"--opengait_config={tmp_path / 'x.yaml'}",
  )
  assert done.returncode == 0, done.stderr
  assert "halvings=3" in done.stdout
  assert "matched: 14 arrays: fc 1, neck 5, stage1 2" in done.stdout
  module = models.create_model(vectors.model_config(meta["model_cfg"]))
  variables = checkpoint.restore_model(
    tmp_path / "out",
    models.abstract_variables(module),
    sharding.replicated(sharding.create_mesh(1)),
  )
  x = arrays["input/silhouettes"].astype(np.float32)
  embedding = module.apply(variables, x)["embedding"]
  expected = np.swapaxes(arrays["eval/embed"], 1, 2)
  assert vectors.difference(embedding, expected) < 1e-4
  done = command.run(
    "--config=configs/gaitbase.py:hid_smoke",
    "--config.model.halvings=3",
    f"--config.eval.checkpoint={tmp_path / 'out'}",
    f"--workdir={tmp_path / 'run'}",
    "--mode=eval",
  )
  assert done.returncode == 2, done.stderr
  assert "the network takes frames of 128 x 88 pixels" in done.stderr
  assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
  "args, words",
  [
    (("--input=none.npz", "--output=out"), "none.npz"),
    (("--input=README.md", "--output=out"), "README.md"),
    (("--input=none", "--output=out.txt", "--reverse"), "must end with"),
    (("--input=none", "--output=/x.npz", "--reverse"), "no checkpoint in"),
  ],
)
def test_refuses_in_one_line(args, words):
  done = run_script(*args, "--config=configs/gaitbase.py:casiab")
  assert done.returncode == 2, done.stderr
  assert done.stderr.count("\n") == 1 and words in done.stderr


def test_refuses_a_damaged_npz(gaitbase, tmp_path):
  state, config = gaitbase
  np.savez(tmp_path / "x.npz", **state)
  whole = (tmp_path / "x.npz").read_bytes()
  (tmp_path / "x.npz").write_bytes(whole[: len(whole) // 2])
  done = convert_file(tmp_path / "x.npz", tmp_path / "out", config)
  assert done.returncode == 2, done.stderr
  assert done.stderr.count("\n") == 1 and "cannot be read" in done.stderr


class Payload:
  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return os.mkdir, (str(self.path),)


def test_reads_tensors_only(gaitbase, tmp_path):
  torch = pytest.importorskip("torch")
  state, config = gaitbase
  tensors = {key: torch.tensor(value) for key, value in state.items()}
  torch.save({"model": tensors, "iteration": 7}, tmp_path / "x.pt")
  done = convert_file(tmp_path / "x.pt", tmp_path / "out", config)
  assert done.returncode == 0, done.stderr
  written = tmp_path / "y.pt"
  done = convert_file(tmp_path / "out", written, config, "--reverse")
  assert done.returncode == 0, done.stderr
  back = torch.load(written, weights_only=True)
  assert back["iteration"] == 7
  for key, value in state.items():
    np.testing.assert_array_equal(back["model"][key].numpy(), value)
  torch.save({"model": Payload(tmp_path / "ran")}, tmp_path / "bad.pt")
  (tmp_path / "cut.pt").write_bytes((tmp_path / "x.pt").read_bytes()[:999])
  for name in ("bad.pt", "cut.pt"):
    done = convert_file(tmp_path / name, tmp_path / name[:3], config)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1 and name in done.stderr
  assert not (tmp_path / "ran").exists()


def test_needs_no_pytorch(gaitbase, tmp_path):
  """A file of a training is converted, there and back."""
  state, config = gaitbase
  (tmp_path / "torch.py").write_text("raise SystemError('imported')")
  found = os.pathsep.join([str(tmp_path), str(paths.ROOT), *sys.path])
  content, blocks = torch_files.training(state, "module.", step=7)
  torch_files.write_zip(tmp_path / "x.pt", content, blocks)
  run = dict(PYTHONPATH=found)
  done = convert_file(tmp_path / "x.pt", tmp_path / "out", config, **run)
  assert done.returncode == 0, done.stderr
  assert "matched: 66 arrays: " in done.stdout
  assert f"module. dropped from {len(state)} keys" in done.stdout
  written = tmp_path / "new" / "y.pt"
  done = convert_file(tmp_path / "out", written, config, "--reverse", **run)
  assert done.returncode == 0, done.stderr
  assert "iteration 7" in done.stdout
  with torch_file.open_checkpoint(written) as back:
    assert back.step == 7
    for key, value in state.items():
      np.testing.assert_array_equal(back.state[key].read(), value)


def test_runs_nothing(tmp_path):
  marker = tmp_path / "ran"
  system = torch_files.Call(
    torch_files.Name("os", "system"), (f"echo > {marker}",)
  )
  torch_files.write_zip(tmp_path / "x.pt", {"model": system}, {})
  error = command.mistake(
    f"--input={tmp_path / 'x.pt'}",
    f"--output={tmp_path / 'out'}",
    "--config=configs/gaitbase.py:casiab",
    program=("scripts/convert_opengait.py",),
  )
  assert "refused os.system" in error and "nothing in a file is run" in error
  assert not marker.exists() and not (tmp_path / "out").exists()


def test_a_zoo(gaitbase, tmp_path):
  state, _ = gaitbase
  content, blocks = torch_files.training(state, "module.", step=60_000)
  for place in ("CASIA-B/Baseline/GaitBase_DA", "CCPG/Baseline/GaitBase_DA"):
    name = "checkpoints/GaitBase_DA-60000.pt"
    torch_files.write_zip(tmp_path / "zoo" / place / name, content, blocks)
  zoo = (f"--zoo={tmp_path / 'zoo'}", f"--output={tmp_path / 'out'}")
  done = run_script(*zoo)
  assert done.returncode == 0, done.stderr
  assert "[2/2] CCPG/Baseline/" in done.stdout
  assert (
    "num_classes is 10, and 74 in configs/gaitbase.py:casiab" in done.stdout
  )
  assert done.stdout.count("  gaitbase 1-1-1-1, 10 classes  60,000") == 2
  # The flags that are printed fit the workdir: it is converted back by them.
  use = next(x for x in done.stdout.splitlines() if x.startswith("  use: "))
  flags = shlex.split(use.removeprefix("  use: "))
  place = flags[-1].removeprefix("--config.eval.checkpoint=")
  back = run_script(
    *flags, f"--input={place}", f"--output={tmp_path / 'y.npz'}", "--reverse"
  )
  assert back.returncode == 0, back.stderr
  with np.load(tmp_path / "y.npz") as arrays:
    for key, value in state.items():
      np.testing.assert_array_equal(arrays[key], value)
  # What is there is not done again; what is damaged sets the status.
  path = tmp_path / "zoo/GREW/Baseline/x/checkpoints/x-1.pt"
  torch_files.write_zip(path, content, {})
  done = run_script(*zoo)
  assert done.returncode == 2 and done.stderr.count("\n") == 1
  assert "1 of 3 files could not be converted" in done.stderr
  assert done.stdout.count("there already\n") == 4  # in lines and the table
  assert "failed: is no whole checkpoint of PyTorch (it lacks" in done.stdout


@pytest.mark.parametrize(
  "args, words",
  [
    (("--output=x",), "give --input, a checkpoint, or --zoo"),
    (("--input=x", "--zoo=y", "--output=x"), "give --input, a checkpoint"),
    (("--zoo=none", "--output=x"), "--zoo none is no folder"),
    (("--zoo=docs", "--output=x"), "--zoo docs has no file"),
    (("--zoo=docs", "--output=README.md"), "is no folder"),
    (("--zoo=s3://a/b", "--output=x"), "has to be on the disk"),
    (("--zoo=docs", "--output=x", "--reverse"), "--reverse takes --input"),
    (
      ("--zoo=docs", "--output=x", "--config=configs/gaitbase.py"),
      "leave out --config",
    ),
  ],
)
def test_refuses_a_zoo_in_one_line(args, words):
  error = command.mistake(*args, program=("scripts/convert_opengait.py",))
  assert words in error


@pytest.mark.slow
def test_there_and_back_in_a_store(gaitbase, bucket, tmp_path):
  state, config = gaitbase
  np.savez(tmp_path / "x.npz", **state)
  bucket.write("x.npz", (tmp_path / "x.npz").read_bytes())
  runs = ("x.npz", "out"), ("out", "back.npz")
  for (source, output), more in zip(runs, ((), ("--reverse",)), strict=True):
    done = convert_file(
      f"{bucket.url}/{source}",
      f"{bucket.url}/{output}",
      config,
      *more,
      **bucket.environment,
    )
    assert done.returncode == 0, done.stderr
  (tmp_path / "back.npz").write_bytes(bucket.read("back.npz"))
  with np.load(tmp_path / "back.npz") as back:
    assert set(state) <= set(back.files)
    for key, value in state.items():
      np.testing.assert_array_equal(back[key], value)
  done = convert_file(
    f"{bucket.url}/x.npz",
    f"{bucket.url}-other/out",
    config,
    **bucket.environment,
  )
  assert done.returncode == 2 and done.stderr.count("\n") == 1
  assert "no such bucket" in done.stderr


@pytest.mark.slow
def test_a_zoo_into_a_store(gaitbase, bucket, tmp_path):
  state, _ = gaitbase
  content, blocks = torch_files.training(state, step=3)
  name = "CASIA-B/Baseline/x/checkpoints/x-3.pt"
  torch_files.write_zip(tmp_path / "zoo" / name, content, blocks)
  for outcome in ("converted", "there already"):
    done = run_script(
      f"--zoo={tmp_path / 'zoo'}",
      f"--output={bucket.url}/zoo",
      **bucket.environment,
    )
    assert done.returncode == 0, done.stderr
    assert f"\n  {outcome}\n" in done.stdout
