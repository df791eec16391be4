"""The command that exports: what it writes, checks and refuses."""

import errno
import json
import os

import jax
import numpy as np
import pytest

from gaitkd_jax import checkpoint
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import runtime
from gaitkd_jax import sharding
from gaitkd_jax.evaluation import restoring
from gaitkd_jax.export import check
from gaitkd_jax.export import command
from gaitkd_jax.export import networks
from gaitkd_jax.export import onnx_graph
from gaitkd_jax.export import silhouettes
from gaitkd_jax.export import stablehlo
from gaitkd_jax.export import tflite
from gaitkd_jax.runtime import processor
from tests.helpers import command as command_line
from tests.helpers import configs
from tests.helpers import exports
from tests.helpers import paths
from tests.helpers import trees

# A trained one: of random weights a step more or less changes far more.
SHIPPED = paths.ROOT / "shipped_teachers" / "walkers" / "1000"
W8A8 = dict(weights=8, activations=8)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  """A float checkpoint of walkers."""
  return exports.save(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
  """A float checkpoint of other people: no threshold is looked for."""
  folder = tmp_path_factory.mktemp("stranger")
  return exports.save(folder, classes=["casiab/001"])


@pytest.fixture
def short(monkeypatch):
  """Calibration looks at two clips."""
  monkeypatch.setattr(silhouettes, "BATCHES", 1)
  monkeypatch.setattr(silhouettes, "BATCH_SIZE", 2)


@pytest.fixture(scope="module")
def written(trained, tmp_path_factory):
  """The float file, and what its check measured."""
  path = tmp_path_factory.mktemp("written") / "student.onnx"
  return path, exports.export(trained, path)


def restored(path):
  """The network of a checkpoint, and its variables."""
  meta = checkpoint.restored_meta(path)
  return restoring.restore_network(
    path,
    meta["model"],
    "float32",
    sharding.replicated(sharding.create_mesh(1)),
    meta["quantization"] or None,
  )


def test_the_file_gives_what_the_network_gives(written, trained):
  path, result = written
  network = runtime.load(path, threads=1)
  module, variables = restored(trained)
  (sequence,) = silhouettes.walkers(1, many=False).clips[:1]
  x = sequence[None, :11].astype(np.float32) / 255
  expected = jax.jit(module.apply)(variables, x)["retrieval"]
  found = network.embed([sequence[:11]])
  assert check.relative_difference(found, expected) < 1e-5
  assert result.difference < 1e-5 and result.cosine > 0.99999
  assert result.lengths == (16, 32, 65)
  assert result.bytes == path.stat().st_size
  assert result.milliseconds > 0 and result.frames == 30
  assert network.kernels == result.kernels and "Conv" in str(result.kernels)


def test_it_says_where_it_is_from(written, trained):
  path, _ = written
  known = runtime.load(path, threads=1).metadata
  _, variables = restored(trained)
  assert known["checkpoint"] == {
    "digest": checkpoint.digest(variables),
    "step": 5,
  }
  assert known["network"] == "deepgaitv2" and known["classes"] == 3
  assert known["target"] == "float" and known["bits"] == {}
  assert known["weights_within"] is None and known["calibration"] is None
  assert known["metric"] == "euclidean" and "64 x 44" in known["preprocessing"]
  assert models.create_model(known["model"]) is not None
  threshold = known["threshold"]
  assert threshold["data"] == "walkers" and threshold["distance"] > 0
  assert threshold["strangers"] == 1056 and threshold["same"] == 72
  assert 0 < threshold["accepted"] <= 10


def test_the_same_checkpoint_gives_the_same_bytes(written, trained, tmp_path):
  path, _ = written
  again = tmp_path / "again.onnx"
  exports.export(trained, again)
  assert again.read_bytes() == path.read_bytes()


def test_the_card_says_what_was_measured(written):
  path, result = written
  assert sorted(os.listdir(path.parent)) == ["student.onnx", "student.onnx.md"]
  text = path.with_name("student.onnx.md").read_text()
  assert all(line in text for line in result.lines())
  assert "synthetic walkers" in text
  assert "no evaluation of the checkpoint lies beside it" in text
  block = text.split("```python\n")[1].split("```")[0]
  assert 'runtime.load("student.onnx")' in block


def test_a_network_of_other_people_has_no_threshold(tmp_path):
  trained = exports.save(tmp_path / "run", classes=["casiab/001"])
  (tmp_path / "run" / "eval").mkdir()
  content = {"step": 5, "protocol": "casiab", "NM/rank1": 91.25, "NM/EER": 4.0}
  for name, changes in (
    ("5", {}),
    ("5_student", {"file": "student.onnx"}),
    ("6", {}),
  ):
    text = json.dumps({**content, **changes})
    (tmp_path / "run" / "eval" / f"{name}.json").write_text(text)
  path = tmp_path / "student.onnx"
  exports.export(trained, path)
  assert runtime.load(path, threads=1).metadata["threshold"] is None
  text = path.with_name("student.onnx.md").read_text()
  assert "Threshold: none" in text and "synthetic" not in text
  # What was measured on a file is no figure of the checkpoint.
  assert "| 5.json | casiab | NM/rank1 | 91.25 |" in text
  assert "5_student" not in text and "6.json" not in text


@pytest.mark.parametrize(
  "target",
  [
    "ort",
    pytest.param("openvino", marks=pytest.mark.slow),
    pytest.param("tensorrt", marks=pytest.mark.slow),
  ],
)
def test_a_float_network_is_calibrated(short, tmp_path, target):
  if target == "openvino" and processor.saturates():
    pytest.skip("OpenVINO computes bytes otherwise without VNNI; see check.py")
  path = tmp_path / "int8.onnx"
  result = exports.export(
    SHIPPED,
    path,
    target=target,
    calibrate="walkers",
    bits={"range": "half"},
  )
  network = runtime.load(path, threads=1)
  known = network.metadata
  assert known["bits"]["weights"] == known["bits"]["activations"] == 8
  assert 0 < known["weights_within"] <= 63
  assert known["calibration"]["data"] == "walkers"
  assert known["calibration"]["batches"] == 1
  if target == "tensorrt":
    assert result.cosine > check.TENSORRT_BOUND
    assert "without optimisations" in network.note
    assert network.kernels["Conv"] > 4
  else:
    assert result.cosine > check.COSINE_BOUND
  if target == "ort":
    assert network.kernels["QLinearConv"] > 4
    assert "Conv" not in network.kernels
  if target == "openvino":
    assert result.runtime.startswith("OpenVINO")
    assert result.kernels["Convolution u8"] > 4
  assert (
    "after training, on 1 batches" in (tmp_path / "int8.onnx.md").read_text()
  )


@pytest.mark.slow
def test_a_quantised_network_keeps_its_steps(tmp_path):
  trained = exports.save(tmp_path / "run", bits=W8A8, classes=[])
  path = tmp_path / "w8a8.onnx"
  result = exports.export(trained, path, target="ort")
  assert result.cosine > check.COSINE_BOUND
  known = runtime.load(path, threads=1).metadata
  assert known["bits"]["weights"] == 8 and known["calibration"] is None
  for changes, words in (
    ({"target": "float"}, "is W8A8 .* writes float networks"),
    ({"target": "ort", "calibrate": "walkers"}, "already"),
  ):
    with pytest.raises(errors.UserError, match=words) as e:
      exports.export(trained, tmp_path / "x.onnx", **changes)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
  "changes, words",
  [
    ({"target": "ort"}, "is float, and --target=ort computes in bytes"),
    ({"calibrate": "walkers"}, "no bits to calibrate"),
    ({"target": "ort", "bits": {"weights": 4}}, "without --calibrate"),
    ({"target": "ort", "calibrate": "nothing"}, "no folder, and no data set"),
    (
      {"target": "ort", "calibrate": "walkers", "bits": {"weights": 1}},
      "weights is 1",
    ),
    (
      {"target": "ort", "calibrate": "walkers", "bits": {"activations": 0}},
      "both need bits",
    ),
    ({"checkpoint": "/nowhere"}, "there is no checkpoint"),
  ],
)
def test_what_cannot_be_exported_is_refused(stranger, tmp_path, changes, words):
  changes = dict(changes)
  path = changes.pop("checkpoint", stranger)
  with pytest.raises(errors.UserError, match=words) as e:
    exports.export(path, tmp_path / "x.onnx", **changes)
  assert "\n" not in str(e.value)
  assert not os.listdir(tmp_path)


def test_nothing_is_overwritten(written, trained, tmp_path):
  path, _ = written
  before = path.read_bytes()
  with pytest.raises(errors.UserError, match="nothing is overwritten"):
    exports.export(trained, path)
  assert path.read_bytes() == before
  (tmp_path / "x.onnx.md").write_text("mine")
  with pytest.raises(errors.UserError, match="nothing is overwritten"):
    exports.export(trained, tmp_path / "x.onnx")
  assert os.listdir(tmp_path) == ["x.onnx.md"]


def test_a_checkpoint_that_does_not_say_its_network(tmp_path):
  module = models.create_model(exports.MODEL)
  variables = jax.tree.map(
    lambda x: np.zeros(x.shape, x.dtype), models.abstract_variables(module)
  )
  checkpoint.save_model(tmp_path / "run", variables, {}, step=1)
  with pytest.raises(errors.UserError, match="does not say which network"):
    exports.export(tmp_path / "run", tmp_path / "x.onnx")


def damage(monkeypatch):
  """Lets the graph be written with one weight that is 1 % off."""
  to_onnx = onnx_graph.to_onnx

  def damaged(plan, target):
    model = to_onnx(plan, target)
    tensor = max(model.graph.initializer, key=lambda x: len(x.raw_data))
    values = np.frombuffer(tensor.raw_data, np.float32).copy()
    values[np.argmax(np.abs(values))] *= 1.01
    tensor.raw_data = values.tobytes()
    return model

  monkeypatch.setattr(onnx_graph, "to_onnx", damaged)


def test_a_file_beyond_the_bound_is_removed(stranger, tmp_path, monkeypatch):
  damage(monkeypatch)
  with pytest.raises(errors.UserError, match="above 1e-05.*was removed") as e:
    exports.export(stranger, tmp_path / "x.onnx")
  assert "\n" not in str(e.value)
  assert not os.listdir(tmp_path)


def test_a_file_that_does_not_open_is_removed(stranger, tmp_path, monkeypatch):
  monkeypatch.setattr(
    command.metadata_lib, "attach", lambda model, values: b"no graph"
  )
  with pytest.raises(errors.UserError, match="cannot be run, and was removed"):
    exports.export(stranger, tmp_path / "x.onnx")
  assert not os.listdir(tmp_path)


def test_a_stop_leaves_nothing(stranger, tmp_path, monkeypatch):
  def stop(*args):
    assert len(os.listdir(tmp_path)) == 1
    raise errors.Stopped("stopped by SIGINT")

  monkeypatch.setattr(command.check_lib, "measure", stop)
  with pytest.raises(errors.Stopped):
    exports.export(stranger, tmp_path / "x.onnx")
  assert not os.listdir(tmp_path)


def test_a_network_with_heat_maps(tmp_path):
  trained = exports.save(
    tmp_path / "run", exports.MODEL | {"in_channels": 2}, classes=[]
  )
  exports.export(trained, tmp_path / "maps.onnx")
  network = runtime.load(tmp_path / "maps.onnx", threads=1)
  assert network.frame_shape == (64, 44, 2)
  text = (tmp_path / "maps.onnx.md").read_text()
  assert "np.zeros((30, 64, 44, 2), np.uint8)" in text


def test_a_network_without_a_plan(stranger, tmp_path, monkeypatch):
  monkeypatch.setattr(networks, "PLANNERS", {})
  with pytest.raises(errors.UserError, match="DeepGaitV2 has no plan") as e:
    exports.export(stranger, tmp_path / "x.onnx")
  assert "\n" not in str(e.value)


def test_stablehlo_is_checked_like_the_others(stranger, tmp_path):
  path = tmp_path / "x.stablehlo"
  result = exports.export(stranger, path, target="stablehlo")
  assert result.difference < 1e-6 and result.runtime.startswith("JAX")
  _, known = stablehlo.read(path)
  assert known["network"] == "deepgaitv2" and known["target"] == "stablehlo"
  assert "one program for CPUs" in (tmp_path / "x.stablehlo.md").read_text()


def test_litert_is_checked_like_the_others(stranger, tmp_path):
  path = tmp_path / "x.tflite"
  result = exports.export(stranger, path, target="tflite")
  assert result.difference < 1e-5 and result.runtime.startswith("LiteRT")
  assert result.kernels["CONV_2D float32"] > 4
  known = tflite.Network(path).metadata
  assert known["network"] == "deepgaitv2" and known["target"] == "tflite"


def test_what_cannot_be_put_leaves_nothing(stranger, tmp_path, monkeypatch):
  replace = os.replace

  def full(old, new):
    if not str(new).endswith(".md"):
      raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    replace(old, new)

  monkeypatch.setattr(command.os, "replace", full)
  with pytest.raises(errors.UserError, match="No space left"):
    exports.export(stranger, tmp_path / "x.onnx")
  assert not os.listdir(tmp_path)


@pytest.mark.slow
def test_calibration_by_a_config(stranger, prepared, tmp_path, capsys):
  config = configs.smoke_config(
    prepared, "walkers_baseline", **{"quantization.batches": 1}
  )
  path = tmp_path / "config.onnx"
  exports.export(
    stranger, path, target="ort", calibrate="config", config=config
  )
  known = runtime.load(path, threads=1).metadata
  assert known["calibration"]["data"] == "walkers"
  assert known["calibration"]["batches"] == 1
  # The config says which data the network is for.
  assert known["threshold"]["data"] == "walkers"
  assert "steps of" in capsys.readouterr().out


@pytest.mark.slow
def test_calibration_by_a_folder(stranger, tmp_path):
  trees.write(tmp_path / "tree", "casiab", subjects=2, frames=3)
  exports.export(
    stranger,
    tmp_path / "folder.onnx",
    target="ort",
    calibrate=str(tmp_path / "tree"),
    bits={"weights": 8, "activations": 8},
  )
  known = runtime.load(tmp_path / "folder.onnx", threads=1).metadata
  assert known["calibration"]["data"] == "tree"


@pytest.mark.slow
def test_the_command_line_needs_no_tensorflow(stranger, tmp_path):
  # A module of this name is found first, and refuses.
  refusing = tmp_path / "refusing"
  refusing.mkdir()
  for name in ("tensorflow", "tensorflow_datasets"):
    (refusing / f"{name}.py").write_text('raise ImportError("refused")\n')
  path = tmp_path / "int8.onnx"
  run = dict(program=("-m", "gaitkd_jax.export"))
  before = command_line.run.__globals__["_environment"]({})["PYTHONPATH"]
  text = command_line.output(
    f"--checkpoint={stranger}",
    f"--output={path}",
    "--target=ort",
    "--calibrate=walkers",
    "--weights=8",
    **run,
    PYTHONPATH=os.pathsep.join([str(refusing), before]),
  )
  assert "cosine at least" in text and "kernels: " in text
  assert f"written: {path}" in text and path.exists()
  assert "nothing is overwritten" in command_line.mistake(
    f"--checkpoint={stranger}", f"--output={path}", **run
  )
  assert "--target=onnx" in command_line.mistake(
    f"--checkpoint={stranger}", "--output=x", "--target=onnx", **run
  )


def test_an_object_store_takes_a_file(stranger, bucket):
  path = f"{bucket.url}/files/student.onnx"
  exports.export(stranger, path)
  assert {"files/student.onnx", "files/student.onnx.md"} <= set(bucket.names())
  with pytest.raises(errors.UserError, match="nothing is overwritten"):
    exports.export(stranger, path)
