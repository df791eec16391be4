"""OpenGait's state dicts: what fits, and what is refused by name."""

import os

import numpy as np
import pytest

from gaitkd_jax import checkpoint
from gaitkd_jax import convert
from gaitkd_jax import errors
from gaitkd_jax import evaluate
from gaitkd_jax import models
from gaitkd_jax import sharding
from tests import test_cli
from tests.parity import vectors
from tests.parity import weights


@pytest.fixture(scope="module")
def gaitbase():
  _, meta = vectors.load("gaitbase")
  config = vectors.model_config(meta["model_cfg"])
  return weights.state_dict(meta["state"]), config


def test_prefixes_and_counters(gaitbase):
  state, config = gaitbase
  expected = vectors.flat(convert.variables_from_opengait(state, config))
  dressed = {f"module.{k}": v for k, v in state.items()}
  dressed |= {
    "teacher_models.big.layer0.weight": np.zeros(3),
    "loss_aggregator.kd.weight": np.zeros(3),
    "Backbone.forward_block.bn1.num_batches_tracked": np.zeros((), np.int64),
  }
  ours = vectors.flat(convert.variables_from_opengait(dressed, config))
  assert ours.keys() == expected.keys()
  for path, value in expected.items():
    np.testing.assert_array_equal(ours[path], value)


@pytest.mark.parametrize("name", ["skeletongaitpp", "swingait"])
def test_every_array_of_a_checkpoint_has_its_place(name):
  _, meta = vectors.load(name)
  config = vectors.model_config(meta["model_cfg"])
  state = weights.state_dict(meta["state"])
  counters = [k for k in state if k.endswith("running_mean")]
  state |= {
    k.replace("running_mean", "num_batches_tracked"): np.zeros((), np.int64)
    for k in counters
  }
  for key in [k for k in state if k.endswith("relative_position_bias_table")]:
    key = key.replace("bias_table", "index")
    state[key] = np.zeros((45, 45), np.int64)
  ours = vectors.flat(convert.variables_from_opengait(state, config))
  assert len(ours) == len(meta["state"])
  sizes = sum(np.prod(shape, dtype=int) for shape in meta["state"].values())
  assert sum(x.size for x in ours.values()) == sizes
  assert (
    sum(x.size for path, x in ours.items() if path.startswith("params/"))
    == meta["params"]
  )


def test_axes_of_linear_layers():
  _, meta = vectors.load("swingait")
  config = vectors.model_config(meta["model_cfg"])
  state = weights.state_dict(meta["state"])
  block = "transformer.layers.1.blocks.0.attn"
  ours = vectors.flat(convert.variables_from_opengait(state, config))
  at = "params/transformer/stage1_block0/attention"
  np.testing.assert_array_equal(
    ours[f"{at}/qkv/kernel"], state[f"{block}.qkv.weight"].T
  )
  np.testing.assert_array_equal(
    ours[f"{at}/bias_table"], state[f"{block}.relative_position_bias_table"]
  )


def test_left_over_and_missing_are_listed(gaitbase):
  state, config = gaitbase
  state = dict(state, surplus=np.zeros(3))
  del state["FCs.fc_bin"]
  with pytest.raises(
    errors.UserError, match="left over surplus; missing params/fc/kernel"
  ):
    convert.variables_from_opengait(state, config)


def test_another_width_names_key_and_shapes(gaitbase):
  state, config = gaitbase
  with pytest.raises(errors.UserError, match=r"FCs.fc_bin.*\(16, 32, 16\)"):
    convert.variables_from_opengait(state, config | {"embedding_dim": 8})


def convert_file(path, output, config):
  """Runs the script; the config is CASIA-B's baseline made narrow."""
  model = " ".join(
    f"--config.model.{key}={str(value).replace(' ', '')}"
    for key, value in config.items()
    if key != "name"
  )
  return test_cli.run(
    f"--input={path}",
    f"--output={output}",
    "--config=configs/casiab_baseline.py",
    *model.split(),
    program=("scripts/convert_opengait.py",),
  )


def test_script_writes_a_checkpoint(gaitbase, tmp_path):
  state, config = gaitbase
  np.savez(tmp_path / "x.npz", **state)
  done = convert_file(tmp_path / "x.npz", tmp_path / "out", config)
  assert done.returncode == 0, done.stderr
  module = models.create_model(config)
  variables = checkpoint.restore_model(
    tmp_path / "out",
    evaluate.abstract_variables(module),
    sharding.replicated(sharding.create_mesh(1)),
  )
  expected = vectors.flat(convert.variables_from_opengait(state, config))
  for path, value in vectors.flat(variables).items():
    np.testing.assert_array_equal(value, expected[path])
  again = convert_file(tmp_path / "x.npz", tmp_path / "out", config)
  assert again.returncode == 2 and "exists" in again.stderr


class Payload:
  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return os.mkdir, (str(self.path),)


def test_script_reads_tensors_only(gaitbase, tmp_path):
  torch = pytest.importorskip("torch")
  state, config = gaitbase
  tensors = {key: torch.tensor(value) for key, value in state.items()}
  torch.save({"model": tensors, "iteration": 7}, tmp_path / "x.pt")
  done = convert_file(tmp_path / "x.pt", tmp_path / "out", config)
  assert done.returncode == 0, done.stderr
  torch.save({"model": Payload(tmp_path / "ran")}, tmp_path / "bad.pt")
  (tmp_path / "cut.pt").write_bytes((tmp_path / "x.pt").read_bytes()[:999])
  for name in ("bad.pt", "cut.pt"):
    done = convert_file(tmp_path / name, tmp_path / name[:3], config)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1 and name in done.stderr
  assert not (tmp_path / "ran").exists()
