"""The program that times exported networks in every runtime."""

import importlib.util
import json
import sys

import jax
import numpy as np
import pytest

from gaitkd_jax import models
from gaitkd_jax import opengait
from gaitkd_jax.models import inputs
from tests.helpers import command
from tests.helpers import paths
from tests.parity import vectors

PROGRAM = ("scripts/bench_export.py",)
TINY = (
  "--config=configs/walkers_baseline.py:smoke",
  "--rounds=1",
  "--frames=3",
  "--batch=2",
  "--threads=1",
)


def load(name):
  """A module of `scripts/`."""
  file = paths.ROOT / "scripts" / f"{name}.py"
  spec = importlib.util.spec_from_file_location(name, file)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.mark.slow
def test_float_and_int8_are_timed_beside_each_other():
  done = command.run(*TINY, "--json", "--runtimes=onnxruntime", program=PROGRAM)
  assert done.returncode == 0, done.stderr
  found = json.loads(done.stdout)
  assert found["threads"] == 1
  plain, small = found["rows"]
  assert (plain["bits"], small["bits"]) == ("float", "W8A8")
  assert plain["ratio"] == 1 and small["ratio"] > 0
  assert plain["int8_convolutions"] == 0 < plain["convolutions"]
  assert small["int8_convolutions"] == small["convolutions"]
  assert small["file_mb"] < plain["file_mb"]
  assert plain["cosine"] > 1 - 1e-6 and 0.99 < small["cosine"] < 1
  for row in (plain, small):
    assert row["runtime"].startswith("ONNX Runtime ")
    assert {k: len(v) for k, v in row["seconds"].items()} == {"1": 1, "2": 1}
    low, high = row["quartiles_ms"]
    assert 0 < low <= row["latency_ms"] <= high
    # A process that never held JAX.
    assert 20 < row["peak_mib"] < 250


def test_an_unknown_runtime_is_one_line():
  text = command.mistake(*TINY, "--runtimes=tensorrt", program=PROGRAM)
  assert "--runtimes has tensorrt; give some of torch, onnxruntime" in text


def test_a_missing_package_is_named(tmp_path):
  runners = load("export_runners")
  assert set(runners.RUNTIMES) >= {"onnxruntime", "openvino", "torch"}
  (tmp_path / "torch.py").write_text("raise ImportError('no', name='torch')\n")
  printed = command.output(
    "torch",
    str(tmp_path / "torch.npz"),
    "1",
    program=("scripts/export_runners.py",),
    PYTHONPATH=f"{tmp_path}:{':'.join(sys.path)}",
  )
  assert json.loads(printed) == {"missing": "torch"}


@pytest.mark.parametrize(
  ("kernels", "wanted"),
  [
    ({"QLinearConv": 3, "Conv": 1, "FusedConv": 2, "Relu": 9}, (6, 3)),
    ({"Convolution u8": 2, "Convolution f32": 1, "Convert f32": 4}, (3, 2)),
    ({"CONV_2D int8": 5, "DEPTHWISE_CONV_2D float32": 1}, (6, 5)),
  ],
)
def test_convolutions_in_bytes_are_counted(kernels, wanted):
  assert load("export_runners").count_convolutions(kernels) == wanted


@pytest.mark.parametrize(
  "name", ["gaitbase", "deepgaitv2_2d", "deepgaitv2_p3d"]
)
def test_the_networks_in_pytorch_equal_those_in_jax(name):
  torch = pytest.importorskip("torch")
  _, meta = vectors.load(name)
  config = vectors.model_config(meta["model_cfg"])
  variables = vectors.variables(config, meta["state"], "")
  rng = np.random.default_rng(0)
  pixels = (rng.random((2, 5, 64, 44)) > 0.5).astype(np.uint8) * 255
  apply = jax.jit(models.create_model(config).apply)
  wanted = apply(variables, inputs.scale(pixels))["retrieval"]
  torch_networks = load("torch_networks")
  network = torch_networks.create(config)
  state = opengait.variables_to_opengait(variables, config)
  torch_networks.load(network, state)
  with torch.inference_mode():
    found = network(torch.from_numpy(pixels)).numpy()
  assert vectors.difference(found, wanted) < 1e-5
