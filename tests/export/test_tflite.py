"""Files of LiteRT, beside the network in JAX."""

import dataclasses
import functools
import json
import subprocess
import sys

from ai_edge_litert import schema_py_generated as schema
import jax
import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax.export import planning
from gaitkd_jax.export import tflite
from gaitkd_jax.models import inputs
from tests.helpers import networks
from tests.helpers import quantized

SIZE = dict(num_classes=3, channels=(4, 8, 8, 8), blocks=(1, 1, 1, 1))
P3D = dict(name="deepgaitv2", mode="p3d", **SIZE)
NETWORKS = {
  "p3d": P3D,
  "gaitbase": dict(name="gaitbase", retrieval="neck", **SIZE),
  "3d": dict(name="deepgaitv2", mode="3d", **SIZE),
  "heatmaps": dict(name="deepgaitv2", mode="2d", in_channels=2, **SIZE),
}
# Leaky rectifiers, for which LiteRT has no exact layer of bytes.
LEAKY = {
  "gaitset": networks.LEAKY["gaitset"],
  "gaitbase_plain": networks.LEAKY["gaitbase_plain"] | dict(retrieval="neck"),
}
WIDE = P3D | dict(channels=(16, 16, 32, 32))
METADATA = {"network": "deepgaitv2", "frame": [64, 44], "threshold": None}
# Runs a file on clip.npz; this library and those that train are not there.
RUN = """
import sys
sys.modules.update(gaitkd_jax=None, jax=None, flax=None, tensorflow=None)
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
import numpy as np
content = open("student.tflite", "rb").read()
model = schema.ModelT.InitFromPackedBuf(content)
(entry,) = [x for x in model.metadata if x.name == b"gaitkd_jax"]
print(bytes(model.buffers[entry.buffer].data).decode())
clip = np.load("clip.npz")
runner = Interpreter(model_content=content).get_signature_runner()
np.save("out.npy", runner(**clip)["embedding"])
"""


@functools.cache
def network(name, bits=None):
  """A network, variables at which nothing is small, and its plan."""
  return planned((NETWORKS | LEAKY)[name], bits)


def planned(config, bits=None, observed=True):
  """See `network`; steps that are not observed are any."""
  section = quantized.section(*bits) if bits else None
  module = models.create_model(config, quantization=section)
  variables = networks.random_variables(module)
  if bits and observed:
    variables = jax.jit(
      lambda v, x: quantized.with_observed_steps(module, v, x)
    )(variables, quantized.silhouettes(module))
  return module, variables, planning.plan_of(module, variables)


def opened(plan, folder, metadata=METADATA):
  """A file of a plan, open."""
  path = folder / "student.tflite"
  tflite.write(plan, metadata, path)
  return tflite.Network(path)


def padded(module, n, s):
  """Silhouettes that are white beyond their lengths, and these."""
  rng = np.random.default_rng(s)
  more = (module.in_channels,) if module.in_channels > 1 else ()
  x = rng.integers(0, 256, (n, s, 64, 44, *more)).astype(np.uint8)
  lengths = np.arange(s, s - n, -1).clip(1)
  for sequence, length in zip(x, lengths, strict=True):
    sequence[length:] = 255
  return x, lengths.astype(np.int32)


def both(module, variables, run, n, s):
  """What JAX and a file make of the same sequences."""
  x, lengths = padded(module, n, s)
  expected = jax.jit(module.apply)(variables, inputs.scale(x), lengths)
  found = run.run(x, lengths)
  assert found.shape == expected["retrieval"].shape
  return np.asarray(expected["retrieval"]), found


def difference(expected, found):
  """The largest, as a share of the largest entry."""
  return np.abs(found - expected).max() / np.abs(expected).max()


def cosine(expected, found):
  """The least of any part."""
  norms = (np.linalg.norm(x, axis=-1) for x in (expected, found))
  return ((expected * found).sum(-1) / np.prod(list(norms), axis=0)).min()


def check_float(name, folder, sizes):
  module, variables, plan = network(name)
  run = opened(plan, folder)
  assert run.operations["CONV_2D float32"] == sum(
    layer.op == "convolve" for layer in plan.layers
  )
  for size in sizes:
    assert difference(*both(module, variables, run, *size)) < 1e-5, size


def test_float_file_equals_jax_for_any_frames(tmp_path):
  # One file: clips of other lengths follow each other.
  check_float("p3d", tmp_path, [(2, 4), (1, 1)])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["3d", "gaitset"])
def test_float_files_of_other_networks_equal_jax(name, tmp_path):
  check_float(name, tmp_path, [(3, 7), (1, 1), (1, 30), (2, 3)])


def steps_of_file(run):
  """Steps of all int8 tensors that are no constants."""
  graph = run._model.subgraphs[0]
  return {
    float(tensor.quantization.scale[0])
    for tensor in graph.tensors
    if tensor.type == schema.TensorType.INT8
    and run._model.buffers[tensor.buffer].data is None
  }


def kernels_of_file(run):
  """Codes, their steps and zero points, of every convolution."""
  graph, codes = run._model.subgraphs[0], run._model.operatorCodes
  for node in graph.operators:
    kind = codes[node.opcodeIndex].builtinCode
    if kind == schema.BuiltinOperator.CONV_2D:
      tensor = graph.tensors[node.inputs[1]]
      values = run._model.buffers[tensor.buffer].data.view(np.int8)
      quantization = tensor.quantization
      assert quantization.quantizedDimension == 0
      assert not quantization.zeroPoint.any()
      yield values.reshape(tensor.shape), quantization.scale


def test_all_convolutions_are_int8_with_the_codes_and_steps_of_the_plan(
  tmp_path,
):
  _, _, plan = planned(P3D, (8, 8), observed=False)
  run = opened(plan, tmp_path)
  convolutions = [x for x in plan.layers if x.op == "convolve"]
  found = list(kernels_of_file(run))
  assert len(found) == len(convolutions)
  for layer, (codes, steps) in zip(convolutions, found, strict=True):
    weights = layer.arguments["weights"]
    np.testing.assert_array_equal(codes.transpose(0, 3, 1, 2), weights.codes)
    np.testing.assert_array_equal(steps, weights.scales.reshape(-1))
  floats = {
    name.partition(" ")[0]
    for name in run.operations
    if name.endswith("float32")
  }
  # Strips and what is behind them.
  assert floats == {"ADD", "BATCH_MATMUL", "DEQUANTIZE"} | {
    "MEAN",
    "REDUCE_MAX",
    "RESHAPE",
  }
  steps = {
    float(np.float32(layer.arguments["step"]))
    for layer in plan.layers
    if layer.op == "quantize"
  }
  assert steps_of_file(run) == steps | {float(np.float32(1 / 255))}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gaitbase"])
def test_quantised_files_have_the_embeddings_of_jax(name, tmp_path):
  # Networks of 4 channels multiply a rounding, so this one is wider.
  config = NETWORKS[name] | dict(channels=(16, 16, 32, 32))
  module, variables, plan = planned(config, (8, 8))
  run = opened(plan, tmp_path)
  assert "CONV_2D float32" not in run.operations
  for size in ((3, 7), (1, 1), (1, 30)):
    assert cosine(*both(module, variables, run, *size)) > 0.999, size


def test_few_bits_take_the_upper_ones_of_their_bytes(tmp_path):
  # A bias is rounded to the steps of input and weights, which are fine then.
  _, _, plan = planned(P3D, (4, 4), observed=False)
  run = opened(plan, tmp_path)
  steps = {
    float(np.float32(x.arguments["step"] / 16))
    for x in plan.layers
    if x.op == "quantize" and x.name != "fc/input"
  }
  graph, codes = run._model.subgraphs[0], run._model.operatorCodes
  read = {
    float(graph.tensors[node.inputs[0]].quantization.scale[0])
    for node in graph.operators
    if codes[node.opcodeIndex].builtinCode == schema.BuiltinOperator.CONV_2D
  }
  assert read - {float(np.float32(1 / 255))} <= steps
  convolutions = [x for x in plan.layers if x.op == "convolve"]
  for layer, (kernel, fine) in zip(
    convolutions, kernels_of_file(run), strict=True
  ):
    weights = layer.arguments["weights"]
    factor = 2 ** (8 - weights.bits)
    whole = kernel.transpose(0, 3, 1, 2).astype(int)
    np.testing.assert_array_equal(whole, weights.codes.astype(int) * factor)
    np.testing.assert_array_equal(fine * factor, weights.scales.reshape(-1))


@pytest.mark.slow
@pytest.mark.parametrize("bits", [(4, 4)])
def test_first_layer_rounds_as_jax(bits, tmp_path):
  module, variables, plan = planned(WIDE, bits)
  ends = [i for i, x in enumerate(plan.layers) if x.name == "stem/output"]
  plan = dataclasses.replace(plan, layers=plan.layers[: ends[0] + 1])
  step = plan.layers[-1].arguments["step"]
  x, _ = padded(module, 1, 3)
  _, _, seen = quantized.watched(module, variables, inputs.scale(x))
  expected = np.asarray(seen["stem/output"][1])
  found = opened(plan, tmp_path).run(x)
  codes = np.rint(found / step)
  np.testing.assert_allclose(found / step, codes, atol=1e-3)
  assert codes.min() >= 0
  assert codes.max() == plan.layers[-1].arguments["high"]
  off = np.abs(codes - np.rint(expected / step))
  assert off.max() <= 1
  assert (off > 0).mean() < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
  # One of 15 codes that is rounded the other way can be a part's maximum.
  "bits, bound",
  [((4, 8), 0.999), ((4, 4), 0.99)],
)
def test_networks_of_few_bits_are_in_bytes(bits, bound, tmp_path):
  module, variables, plan = planned(WIDE, bits)
  run = opened(plan, tmp_path)
  assert "CONV_2D float32" not in run.operations
  assert cosine(*both(module, variables, run, 2, 7)) > bound


@pytest.mark.slow
def test_float_activations_stay_float(tmp_path):
  module, variables, plan = network("p3d", (8, 0))
  run = opened(plan, tmp_path)
  assert "CONV_2D int8" not in run.operations
  assert difference(*both(module, variables, run, 2, 4)) < 1e-5
  # Its weights are codes all the same.
  graph = run._model.subgraphs[0]
  assert sum(
    run._model.buffers[x.buffer].data is not None
    for x in graph.tensors
    if x.type == schema.TensorType.INT8
  ) == sum("weights" in x.arguments for x in plan.layers)


def test_channel_that_is_off_keeps_its_bias(tmp_path):
  module, variables, _ = planned(P3D, (8, 8), observed=False)
  norm = variables["params"]["stem"]["norm"]
  norm["scale"][0], norm["bias"][0] = 0.0, 1.0
  plan = planning.plan_of(module, variables)
  ends = [i for i, x in enumerate(plan.layers) if x.name == "stem/output"]
  plan = dataclasses.replace(plan, layers=plan.layers[: ends[0] + 1])
  assert plan.layers[1].arguments["weights"].scales[0] == 0
  step = plan.layers[-1].arguments["step"]
  found = opened(plan, tmp_path).run(np.zeros((1, 1, 64, 44), np.uint8))
  np.testing.assert_allclose(found[..., 0], step * round(1 / step), rtol=1e-5)


def test_file_runs_without_this_library_and_says_what_it_is(tmp_path):
  module, variables, plan = network("p3d")
  run = opened(plan, tmp_path)
  assert run.metadata == METADATA
  x, lengths = padded(module, 1, 3)
  np.savez(tmp_path / "clip.npz", silhouettes=x, lengths=lengths)
  done = subprocess.run(
    [sys.executable, "-c", RUN], cwd=tmp_path, capture_output=True, text=True
  )
  assert done.returncode == 0, done.stderr
  assert json.loads(done.stdout) == METADATA
  out = np.load(tmp_path / "out.npy")
  np.testing.assert_array_equal(out, run.run(x, lengths))


def test_same_plan_gives_the_same_bytes():
  _, _, plan = planned(P3D, (8, 8), observed=False)
  one, two = (tflite.to_tflite(plan, METADATA) for _ in range(2))
  assert one == two


def test_layer_that_litert_has_not_is_named():
  _, _, plan = planned(networks.RESIDUAL["swingait"])
  with pytest.raises(
    errors.UserError,
    match="tflite has no layer resize, which resize of SwinGait needs; give",
  ):
    tflite.to_tflite(plan, {})


@pytest.mark.slow
@pytest.mark.parametrize(
  "name, message",
  [
    ("gaitpart", "no layer cut_strips, which stage2 of GaitPart needs"),
    ("gaitgl", "no layer repeat_short, which input of GaitGL needs"),
    ("skeletongaitpp", "no layer slice, which silhouette of SkeletonGaitPP"),
  ],
)
def test_networks_that_cannot_be_written_are_told(name, message):
  _, _, plan = planned((networks.LEAKY | networks.RESIDUAL)[name])
  with pytest.raises(errors.UserError, match=message):
    tflite.to_tflite(plan, {})


@pytest.mark.slow
@pytest.mark.parametrize("name", LEAKY)
def test_bytes_behind_a_leaky_rectifier_are_refused(name):
  _, _, plan = planned(LEAKY[name], (8, 8), observed=False)
  with pytest.raises(
    errors.UserError, match="stage1_conv1 of .* in bytes only .* leaky_relu"
  ):
    tflite.to_tflite(plan, {})


def test_nothing_is_left_of_what_cannot_be_written(tmp_path):
  _, _, plan = network("p3d")
  (tmp_path / "taken").write_text("")
  with pytest.raises(errors.UserError, match="cannot be written"):
    tflite.write(plan, {}, tmp_path / "taken" / "student.tflite")
  assert [x.name for x in tmp_path.iterdir()] == ["taken"]


def test_mistaken_files_are_told_in_one_line(tmp_path):
  _, _, plan = network("p3d")
  content = tflite.to_tflite(plan, {})
  path = tmp_path / "x.tflite"
  with pytest.raises(errors.UserError, match="cannot be read"):
    tflite.Network(path)
  for damaged in (b"", b"no file of LiteRT", content[: len(content) // 2]):
    path.write_bytes(damaged)
    with pytest.raises(errors.UserError, match="no file of --target=tflite"):
      tflite.Network(path)
  model = schema.ModelT.InitFromPackedBuf(content)
  model.metadata = []
  import flatbuffers

  builder = flatbuffers.Builder(1024)
  builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
  path.write_bytes(bytes(builder.Output()))
  with pytest.raises(errors.UserError, match="has no metadata of this"):
    tflite.Network(path)


def test_missing_runtime_is_asked_for(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
  for name in ("tflite_graph", "tflite_layers", "tflite_values"):
    monkeypatch.delitem(sys.modules, f"gaitkd_jax.export.{name}", raising=False)
  import gaitkd_jax.export as room

  monkeypatch.delattr(room, "tflite_graph", raising=False)
  monkeypatch.delattr(room, "tflite_layers", raising=False)
  with pytest.raises(errors.UserError, match="pip install"):
    tflite.to_tflite(network("p3d")[2], {})
  with pytest.raises(errors.UserError, match="pip install"):
    tflite.Network(tmp_path / "x.tflite")
