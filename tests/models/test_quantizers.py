"""Quantised layers against whole numbers, and where networks have them."""

import dataclasses
import itertools

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import models
from gaitkd_jax import quantize
from gaitkd_jax.models import conv_layer
from gaitkd_jax.models import heads
from gaitkd_jax.models import inputs
from gaitkd_jax.models import quantizers
from gaitkd_jax.models import registry
from tests.helpers import networks
from tests.helpers import quantized

LAYERS = {
  "spatial": conv_layer.ConvLayer(5),
  "strided": conv_layer.ConvLayer(5, strides=(2, 2)),
  "pointwise": conv_layer.ConvLayer(5, (1, 1)),
  "shortcut": conv_layer.ConvLayer(5, (1, 1), (2, 2)),
  "temporal": conv_layer.ConvLayer(5, (3, 1)),
  "pace": conv_layer.ConvLayer(5, (3, 1), (3, 1), (0, 0)),
  "clips": conv_layer.ConvLayer(5, (3, 3, 3), (1, 2, 2)),
  "first": conv_layer.ConvLayer(5, reads_frames=True),
}
KINDS = tuple(models.known_kinds())


def whole_convolution(x, kernel, strides, pads):
  """Sums of products of whole numbers, int64, by definition.

  Args:
    x: int64 `[n, *sizes, c]`.
    kernel: int64 `[*window, c, features]`.
    strides: of each axis between.
    pads: zeros on both sides of each.
  """
  x = np.pad(x, [(0, 0), *((p, p) for p in pads), (0, 0)])
  window = kernel.shape[:-2]
  sizes = [
    (size - w) // stride + 1
    for size, w, stride in zip(x.shape[1:-1], window, strides, strict=True)
  ]
  out = np.zeros((len(x), *sizes, kernel.shape[-1]), np.int64)
  for place in itertools.product(*map(range, window)):
    cut = tuple(
      slice(start, start + (size - 1) * stride + 1, stride)
      for start, size, stride in zip(place, sizes, strides, strict=True)
    )
    out += np.einsum("...c,cd->...d", x[(slice(None), *cut)], kernel[place])
  return out


def variables_of(layer, steps, seed=0):
  """Variables of a layer of four channels, and codes of an input.

  Args:
    layer: the layer.
    steps: of the five channels' weights, and of the output.
    seed: of the rest.

  Returns:
    The variables; factor and shift of the normalisation are powers of two and
    whole multiples of one.
  """
  rng = np.random.default_rng(seed)
  shape = (*layer.window, 4, 5)
  weight_steps, output_step = steps
  params = {
    # Some lie beyond the grid of four bits.
    "kernel": np.float32(rng.normal(size=shape) * weight_steps * 4),
    "weights": {"step_size": np.float32(weight_steps)},
    "output": {"step_size": np.float32(output_step)},
  }
  variables = {"params": params}
  if layer.normalized:
    params["norm"] = {
      "scale": np.float32([0.5, 1.0, -2.0, 0.25, 4.0]),
      "bias": np.float32([0.0, 0.5, -1.25, 2.0, -0.75]),
    }
    var = np.float32(1.0) - np.float32(1e-5)
    assert np.float32(var + np.float32(1e-5)) == 1.0
    variables["batch_stats"] = {
      "norm": {
        "mean": np.float32([0.25, -0.5, 0.0, 1.0, 0.125]),
        "var": np.full(5, var),
      }
    }
  return variables


def constants(layer, variables):
  """Factor and shift of the normalisation, in float64."""
  if not layer.normalized:
    return np.ones(5), np.zeros(5)
  norm, kept = variables["params"]["norm"], variables["batch_stats"]["norm"]
  factor = norm["scale"].astype(np.float64)
  return factor, norm["bias"] - kept["mean"] * factor


def exact(layer, variables, x_codes, x_step, bits):
  """What integers give: the output's codes, and codes before they are whole."""
  params = variables["params"]
  weight_bits = 8 if layer.reads_frames else bits
  high = 2 ** (weight_bits - 1) - 1
  step = params["weights"]["step_size"].astype(np.float64)
  kernel = np.clip(np.round(params["kernel"] / step), -high, high)
  strides = layer.strides or (1,) * len(layer.window)
  pads = layer.padding or tuple(size // 2 for size in layer.window)
  sums = whole_convolution(x_codes, kernel.astype(np.int64), strides, pads)
  assert np.abs(sums).max() < 2**24
  factor, shift = constants(layer, variables)
  y = np.float32(sums * (x_step * step * factor) + shift)
  if layer.activation == "relu":
    y = np.maximum(y, 0)
  if layer.activation == "leaky_relu":
    y = np.where(y > 0, y, np.float32(0.01) * y)
  low, high = -(2 ** (bits - 1) - 1), 2 ** (bits - 1) - 1
  if layer.activation == "relu":
    low, high = 0, 2**bits - 1
  u = y.astype(np.float64) / params["output"]["step_size"]
  return np.clip(np.round(u), low, high).astype(np.int64), u


def apply(layer, variables, x, settings, **options):
  with quantize.attach(settings):
    return layer.apply(variables, x, **options)


def input_codes(layer, signed, seed=1):
  shape = (2, 6, 9, 6, 4) if len(layer.window) == 3 else (2, 9, 6, 4)
  low, high = (-7, 8) if signed else (0, 16)
  return np.random.default_rng(seed).integers(low, high, shape)


@pytest.mark.parametrize("activation", ["none", "relu", "leaky_relu"])
@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_computes_with_whole_numbers(name, normalized, activation):
  """Steps are powers of two, so that no float is ever rounded."""
  layer = LAYERS[name].clone(normalized=normalized, activation=activation)
  steps = 2.0 ** np.array([-3, -5, -4, -2, -6]), 0.25
  variables = variables_of(layer, steps)
  x_codes = input_codes(layer, signed=activation == "none")
  x = jnp.asarray(x_codes * 0.125, jnp.float32)
  # The largest values are a bit beyond the codes.
  _, u = exact(layer, variables, x_codes, 0.125, 4)
  high = 15 if activation == "relu" else 7
  step = 0.25 * 2.0 ** np.floor(np.log2(np.abs(u).max() / high))
  variables["params"]["output"]["step_size"] = np.float32(step)
  found = apply(layer, variables, x, quantized.settings(4, 4))
  wanted, _ = exact(layer, variables, x_codes, 0.125, 4)
  np.testing.assert_array_equal(quantized.codes_of(found, step), wanted)
  assert len(np.unique(wanted)) >= 4  # and not everything is clipped


@pytest.mark.parametrize("bits", [(4, 4), (8, 8), (2, 3)])
@pytest.mark.parametrize("activation", ["none", "relu", "leaky_relu"])
@pytest.mark.parametrize("name", ["spatial", "shortcut", "clips"])
def test_any_steps_give_the_codes_of_whole_numbers(name, activation, bits):
  layer = LAYERS[name].clone(activation=activation)
  weights, activations = bits
  rng = np.random.default_rng(3)
  fine = 2.0 ** (4 - activations)
  steps = rng.uniform(0.02, 0.2, 5), 0.37 * fine
  variables = variables_of(layer, steps)
  x_codes = input_codes(layer, signed=False)
  x = np.float32(x_codes * 0.113)
  found = apply(
    layer, variables, jnp.asarray(x), quantized.settings(weights, activations)
  )
  # The bits of weights and of the output.
  wide = variables["params"]["kernel"] / steps[0].astype(np.float32)
  assert (np.abs(wide) > 2 ** (weights - 1) - 1).any() or weights == 8
  _, u = exact(layer, variables, x_codes, np.float64(0.113), weights)
  low, high = -(2 ** (activations - 1) - 1), 2 ** (activations - 1) - 1
  if activation == "relu":
    low, high = 0, 2**activations - 1
  wanted = np.clip(np.round(u), low, high)
  codes = quantized.codes_of(found, np.float32(steps[1]))
  ties = np.abs(u - np.floor(u) - 0.5) < 1e-4
  np.testing.assert_array_equal(codes[~ties], wanted[~ties])
  assert np.mean(ties) < 0.03  # a value of few positions comes more than once
  assert np.abs(codes - wanted)[ties].max(initial=0) <= 1


@pytest.mark.parametrize("rectified", [True, False])
def test_a_linear_layer_computes_with_whole_numbers(rectified):
  """In eight bits, whatever the rest has."""
  rng = np.random.default_rng(0)
  layer = heads.SeparateFC(6, rectified)
  steps = 2.0 ** rng.integers(-9, -5, (3, 6))
  low, high = (0, 255) if rectified else (-127, 127)
  x = np.float32(rng.uniform(low - 20, high + 20, (2, 3, 7)) / 64)
  x = np.maximum(x, 0) if rectified else x
  kernel = np.float32(rng.normal(size=(3, 7, 6)) * 60 * steps[:, None])
  variables = {
    "params": {
      "kernel": kernel,
      "weights": {"step_size": np.float32(steps)},
      "input": {"step_size": np.float32(1 / 64)},
    }
  }
  found = apply(layer, variables, jnp.asarray(x), quantized.settings(4, 4))
  x_codes = np.clip(np.round(x * 64.0), low, high).astype(np.int64)
  codes = np.clip(np.round(kernel / steps[:, None]), -127, 127)
  sums = np.einsum("npc,pcd->npd", x_codes, codes.astype(np.int64))
  assert len(np.unique(x_codes)) > 15 and np.abs(sums).max() < 2**24
  np.testing.assert_array_equal(found, np.float32(sums * steps / 64))


def test_half_the_range_of_weights():
  layer = LAYERS["spatial"]
  variables = variables_of(layer, (2.0 ** np.array([-8.0] * 5), 2.0**-5))
  variables["params"]["kernel"] *= 30
  x = jnp.asarray(input_codes(layer, False) * 0.125, jnp.float32)
  settings = quantized.settings(8, 0, range="half")
  found = apply(layer, variables, x, settings)
  clipped = np.clip(
    np.round(variables["params"]["kernel"] * 256), -63, 63
  ).astype(np.int64)
  sums = whole_convolution(input_codes(layer, False), clipped, (1, 1), (1, 1))
  factor, shift = constants(layer, variables)
  np.testing.assert_array_equal(
    found, np.float32(sums * factor * 2.0**-11 + shift)
  )


def held(**phase):
  return quantize.Phase(holds=jnp.array(True), **phase)


@pytest.mark.parametrize("activation", ["none", "relu", "leaky_relu"])
def test_a_factor_of_a_channel_commutes_with_quantised_weights(activation):
  """Training that holds its statistics computes what an evaluation does."""
  layer = LAYERS["spatial"].clone(activation=activation)
  rng = np.random.default_rng(4)
  variables = variables_of(layer, (rng.uniform(0.02, 0.2, 5), 0.3))
  x = jnp.asarray(rng.normal(size=(2, 9, 6, 4)), jnp.float32)
  for activations in (0, 4):
    settings = quantized.settings(4, activations)
    evaluated = apply(layer, variables, x, settings)
    with quantize.phase(held()):
      trained, updated = apply(
        layer, variables, x, settings, train=True, mutable=["batch_stats"]
      )
    difference = np.abs(np.asarray(trained) - np.asarray(evaluated))
    if activations:  # equal codes, or neighbours at a tie
      assert np.mean(difference > 1e-4) < 0.01
    else:
      assert difference.max() < 1e-5 * np.abs(evaluated).max()
    jax.tree.map(
      np.testing.assert_array_equal,
      updated["batch_stats"],
      variables["batch_stats"],
    )
  # Were the factor applied in front of an equal step, it would not commute.
  folded, _ = conv_layer._folded(
    variables["params"]["kernel"],
    *map(jnp.float32, constants(layer, variables)),
  )
  step = jnp.float32(variables["params"]["weights"]["step_size"])
  grid = quantize.signed(4)
  wrong = quantize.codes(folded, step.reshape(1, 1, 1, 5), grid, jnp.round)
  codes = quantize.codes(
    variables["params"]["kernel"], step.reshape(1, 1, 1, 5), grid, jnp.round
  )
  assert np.mean(np.abs(wrong) != np.abs(codes)) > 0.3


def test_silhouettes_are_exact_in_eight_bits():
  pixels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
  x = inputs.network_input({"silhouettes": pixels}, 1)
  step, grid = jnp.float32(1 / 255), quantize.unsigned(8)
  codes = quantize.codes(x, step, grid, jnp.round)
  np.testing.assert_array_equal(codes, pixels)
  found = quantize.quantize(x, step, grid, jnp.round)
  np.testing.assert_array_max_ulp(np.asarray(found), np.asarray(x), 1)


@pytest.mark.parametrize(
  "name",
  [
    pytest.param(name, marks=[pytest.mark.slow] if name != "gaitbase" else [])
    for name in KINDS
  ],
)
def test_every_layer_reads_a_grid(name):
  """The grid of its bits, of positive codes where no value is negative."""
  module = quantized.small(name, observer="maximum")
  x = quantized.silhouettes(module)
  variables = networks.random_variables(quantized.small(name))
  variables = merged(quantized.initial(module), variables)
  variables = jax.jit(lambda v, x: quantized.with_observed_steps(module, v, x))(
    variables, x
  )
  out, read, made = quantized.watched(module, variables, x)
  assert np.isfinite(out["embedding"]).all()
  steps = quantized.steps_of(variables["params"])
  activations = {
    path: values for path, values in made.items() if np.ndim(steps[path]) == 0
  }
  for path, (given, result, grid) in activations.items():
    codes = quantized.codes_of(result, steps[path])
    assert codes.min() >= grid.low and codes.max() <= grid.high
    assert grid.low or np.min(given) >= 0, path
    # A sign is not idle. Of pooled leaky values and of sums few are negative.
    whole = grid.low == 0 or not path.endswith("output")
    assert whole or np.min(given) < 0, path
    # The observed step makes use of the codes.
    assert len(np.unique(codes)) > (4 if grid.high < 16 else 15), path
  for path, given in read.items():
    if path == "classifier":
      assert not any(step.startswith(path) for step in steps)
    elif f"{path}/input" in activations:
      wide = path == "fc" or path.startswith("projector/")
      assert activations[f"{path}/input"][2].high == {
        (True, True): 127,
        (True, False): 255,
      }.get((wide, grid_is_signed(activations[f"{path}/input"][2])), 7)
    elif first(path):
      quantized.codes_of(np.round(np.asarray(given) * 255), 1.0)
      np.testing.assert_allclose(given * 255, np.round(given * 255), atol=1e-4)
    else:
      assert lies_on_one(given, steps, activations), path


def merged(target, source):
  """The values of `source` where it has some."""
  flat = traverse_util.flatten_dict(target)
  flat |= {
    path: value
    for path, value in traverse_util.flatten_dict(source).items()
    if path in flat
  }
  return traverse_util.unflatten_dict(flat)


def grid_is_signed(grid):
  return grid.low < 0


def first(path):
  """Whether a layer reads frames."""
  return path in (
    "stem",
    "silhouette_stem",
    "map_stem",
    "stem0",
    "stage1_conv1",
  )


def lies_on_one(x, steps, activations):
  """Whether values are multiples of the step of one of the quantisers."""
  x = np.asarray(x)
  for path, (_, _, grid) in activations.items():
    step = np.float32(steps[path])
    codes = np.round(x / step)
    if (
      grid.high <= 15
      and codes.min() >= grid.low
      and codes.max() <= grid.high
      and (step * codes == x).all()
    ):
      return True
  return False


@pytest.mark.parametrize("name", KINDS)
def test_which_weights_are_quantised_in_how_many_bits(name):
  """The first convolution and the linear layers in eight; the head in float."""
  module = quantized.small(name, weights=4, activations=4)
  variables = models.abstract_variables(module)
  plain = models.abstract_variables(quantized.small(name))
  steps = quantized.steps_of(variables["params"])
  kernels = {
    "/".join(path[:-1]): leaf
    for path, leaf in traverse_util.flatten_dict(plain["params"]).items()
    if path[-1] in ("kernel", "part0")
  }
  kept = {
    path
    for path in kernels
    if path in ("neck", "classifier") or path.startswith("transformer")
  }
  found = {
    path.removesuffix("/weights") for path in steps if path.endswith("/weights")
  }
  assert found == kernels.keys() - kept
  assert (
    ("neck" in kernels)
    or "num_classes" not in models.config_keys(module_name(name))
    or "classifier" in kernels
  )
  # All else is as in the float network.
  flat = traverse_util.flatten_dict(variables["params"])
  others = {path for path in flat if path[-1] not in quantizers.LEARNED}
  assert others == set(traverse_util.flatten_dict(plain["params"]))
  grids = {}

  def look(call, args, kwargs, context):
    if isinstance(context.module, quantizers.Quantizer):
      grids["/".join(context.module.path)] = context.module.grid.high
    return call(*args, **kwargs)

  shape = (1, 2, *module.frame_size, module.in_channels)
  with quantizers.nn.intercept_methods(look):
    jax.eval_shape(module.apply, variables, jnp.zeros(shape))
  for path in found:
    wide = first(path) or path == "fc" or path.startswith("projector/")
    assert grids[f"{path}/weights"] == (127 if wide else 7), path


def module_name(kind):
  return models.known_kinds()[kind]["name"]


def test_the_first_convolution_and_the_linear_layer_use_eight_bits():
  module = quantized.small(
    "gaitbase", weights=2, activations=2, observer="maximum"
  )
  x = quantized.silhouettes(module)
  variables = quantized.initial(module)
  variables = jax.jit(lambda v, x: quantized.with_observed_steps(module, v, x))(
    variables, x
  )
  _, _, made = quantized.watched(module, variables, x)

  codes = {
    path: len(
      np.unique(
        np.round(
          np.asarray(out)
          / np.expand_dims(
            quantized.steps_of(variables["params"])[path],
            tuple(range(np.ndim(out) - 1)),
          )
        )
      )
    )
    for path, (_, out, _) in made.items()
    if path.endswith("weights") and path != "fc/weights"
  }
  assert codes.pop("stem/weights") > 20
  assert set(codes.values()) == {3}
  _, out, grid = made["fc/weights"]
  assert grid == quantize.signed(8)
  step = np.asarray(quantized.steps_of(variables["params"])["fc/weights"])
  assert len(np.unique(np.round(np.asarray(out) / step[:, None]))) > 100


@pytest.mark.parametrize("name", ["gaitbase", "gaitset"])
def test_no_bits_are_a_float_network(name):
  """Bit for bit, and of the same arrays."""
  modules = [
    quantized.small(name),
    quantized.small(name, weights=0, activations=0, rounding="soft"),
    dataclasses.replace(quantized.small(name, weights=4), quantization=None),
  ]
  variables = [quantized.initial(m) for m in modules]
  x = quantized.silhouettes(modules[0])
  outs = [
    jax.jit(m.apply)(v, x) for m, v in zip(modules, variables, strict=True)
  ]
  for module, other, out in zip(modules, variables, outs, strict=True):
    assert module.quantization is None
    jax.tree.map(np.testing.assert_array_equal, other, variables[0])
    jax.tree.map(np.testing.assert_array_equal, out, outs[0])
  assert not quantized.steps_of(variables[0]["params"])


def test_either_of_both_can_be_float():
  for bits, ends in (
    ((4, 0), {"weights"}),
    ((0, 4), {"output", "sum", "input"}),
  ):
    module = quantized.small("gaitbase", weights=bits[0], activations=bits[1])
    steps = quantized.steps_of(models.abstract_variables(module)["params"])
    assert {path.split("/")[-1] for path in steps} == ends


def test_a_float_network_may_be_called_beside_a_quantised_one():
  """As a teacher is, within a quantised student's phase."""
  with quantize.attach(quantized.settings()), quantize.phase(held()):
    module = quantized.small("gaitbase")
    variables = models.abstract_variables(module)
  assert not quantized.steps_of(variables["params"])


def values_and_gradients(module, variables, x, phase):
  def loss(params):
    with quantize.phase(phase):
      out, updated = module.apply(
        {**variables, "params": params},
        x,
        jnp.array([4, 3]),
        train=True,
        mutable=["batch_stats"],
      )
    return jnp.mean(jnp.square(out["embedding"])), updated

  return jax.jit(jax.value_and_grad(loss, has_aux=True))(variables["params"])


@pytest.mark.slow
def test_remat_changes_no_value():
  config = dict(
    name="deepgaitv2", channels=(4, 8, 8, 8), blocks=(0, 1, 1, 1), num_classes=3
  )
  plain, remat = (
    models.create_model(
      config | {"remat": value},
      quantization=quantized.section(scales="observed", rounding="soft"),
    )
    for value in (False, True)
  )
  x = quantized.silhouettes(plain, s=4)
  variables = quantized.initial(plain)
  variables, noted = (
    jax.jit(lambda v, x, m=m: quantized.with_observed_steps(m, v, x))(
      variables, x
    )
    for m in (plain, remat)
  )
  jax.tree.map(np.testing.assert_array_equal, variables, noted)
  phase = quantize.Phase(True, jnp.float32(4.0), jnp.array(False))
  found, wanted = (
    values_and_gradients(m, variables, x, phase) for m in (remat, plain)
  )
  assert jax.tree.structure(found) == jax.tree.structure(wanted)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
    found[0],
    wanted[0],
  )
  largest = max(float(jnp.linalg.norm(g)) for g in jax.tree.leaves(wanted[1]))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-3 * largest),
    found[1],
    wanted[1],
  )


def quantizer(settings, x, variables=None, train=True, phase=None):
  """Calls a quantiser of an activation; returns values and variables."""
  module = quantizers.Quantizer(quantize.signed(4), tuple(range(x.ndim)))
  with quantize.attach(settings):
    variables = variables or module.init(jax.random.key(0), x)
  with quantize.phase(phase), quantize.attach(settings):
    return module.apply(variables, x, train=train, mutable=["batch_stats"])


def test_an_observed_step_follows_the_values_of_training():
  settings = quantized.settings(scales="observed", observer="maximum")
  x = jnp.array([[0.5, -1.4]])
  before = {"batch_stats": {"step_size": jnp.float32(1.0)}}
  out, after = quantizer(settings, x, before)
  step = 0.9 * 1.0 + 0.1 * 1.4 / 7
  np.testing.assert_allclose(after["batch_stats"]["step_size"], step, rtol=1e-6)
  np.testing.assert_allclose(out, step * jnp.round(x / step), rtol=1e-6)
  out, after = quantizer(settings, x, before, train=False)
  assert after["batch_stats"]["step_size"] == 1.0
  np.testing.assert_array_equal(out, [[0.0, -1.0]])
  for freezes, wanted in ((True, 1.0), (False, step)):
    phase = quantize.Phase(freezes=jnp.array(freezes))
    _, after = quantizer(settings, x, before, phase=phase)
    np.testing.assert_allclose(
      after["batch_stats"]["step_size"], wanted, rtol=1e-6
    )
  # A new one does not follow what it is initialised with.
  _, after = quantizer(settings, x, train=False)
  assert after["batch_stats"]["step_size"] == 1.0


@pytest.mark.parametrize("channel", [0, 1, 3])
def test_an_observer_sees_all_channels(channel):
  """Of large arrays, of which it takes a sample."""
  settings = quantized.settings(scales="observed", observer="maximum")
  x = jnp.ones((32, 64, 32, 4)).at[..., channel].set(7.0)
  before = {"batch_stats": {"step_size": jnp.float32(0.0)}}
  _, after = quantizer(settings, x, before)
  np.testing.assert_allclose(after["batch_stats"]["step_size"], 0.1, rtol=1e-6)


def test_soft_values_are_for_training_only():
  settings = quantized.settings(rounding="soft", forward="soft")
  x = jnp.array([[0.3, 1.6, -2.4]])
  steps = {"params": {"step_size": jnp.float32(1.0)}}

  def values(**options):
    return quantizer(settings, x, steps, **options)[0]

  hard = np.array([[0.0, 2.0, -2.0]])
  np.testing.assert_array_equal(values(train=False), hard)
  for rounds in (True, False):
    phase = quantize.Phase(jnp.array(rounds), jnp.float32(4.0))
    found = values(phase=phase)
    soft = quantize_soft(np.asarray(x, np.float64), 4.0)
    np.testing.assert_allclose(found, soft if rounds else hard, rtol=1e-5)


def quantize_soft(u, k):
  f = u - np.floor(u)
  return np.floor(u) + 0.5 + np.tanh(k * (f - 0.5)) / (2 * np.tanh(k / 2))


@pytest.mark.parametrize("rounding", quantize.ROUNDINGS)
def test_before_its_step_any_rounding_is_straight_through(rounding):
  settings = quantized.settings(rounding=rounding)
  x = jax.random.normal(jax.random.key(0), (3, 50))
  params = {"step_size": jnp.float32(0.3)}
  if rounding == "dsq":
    params["dsq_alpha"] = jnp.float32(0.2)

  def gradients(rounds, settings=settings):
    def loss(params, x):
      phase = quantize.Phase(jnp.array(rounds), jnp.float32(4.0))
      out, _ = quantizer(settings, x, {"params": params}, phase=phase)
      return jnp.sum(jnp.sin(3 * out))

    return jax.grad(loss, (0, 1))(params, x)

  straight = gradients(False)
  params_of_ste = {"step_size": params["step_size"]}
  params, kept = params_of_ste, params
  wanted = gradients(True, quantized.settings(rounding="ste"))
  params = kept
  np.testing.assert_allclose(straight[1], wanted[1], rtol=1e-6)
  np.testing.assert_allclose(
    straight[0]["step_size"], wanted[0]["step_size"], rtol=1e-5
  )
  own = gradients(True)
  assert np.isfinite(own[1]).all()
  if rounding != "ste":
    assert np.abs(own[1] - wanted[1]).max() > 1e-3
  if rounding == "dsq":
    assert straight[0]["dsq_alpha"] == 0 and own[0]["dsq_alpha"] != 0


def test_the_gradient_of_steps_is_lsqs_through_a_layer():
  layer = LAYERS["spatial"].clone(normalized=False, activation="none")
  rng = np.random.default_rng(5)
  variables = variables_of(layer, (rng.uniform(0.02, 0.2, 5), 0.3))
  x = jnp.asarray(rng.normal(size=(2, 9, 6, 4)), jnp.float32)
  g = jnp.asarray(rng.normal(size=(2, 9, 6, 5)), jnp.float32)

  def loss(params, settings):
    out = apply(layer, {"params": params}, x, settings)
    return jnp.sum(g * out)

  params = variables["params"]
  found = jax.grad(loss)(params, quantized.settings(4, 0))["weights"]
  kernel, step = params["kernel"], params["weights"]["step_size"]
  u = kernel / step
  near = np.clip(np.round(u), -7, 7) * step
  by_kernel = jax.grad(loss)({"kernel": near}, None)["kernel"]
  each = np.where(np.abs(u) <= 7, np.round(u) - u, np.clip(u, -7, 7))
  factor = 1 / np.sqrt(9 * 4 * 7)  # weights of a channel, largest code
  wanted = factor * np.sum(each * by_kernel, (0, 1, 2))
  np.testing.assert_allclose(found["step_size"], wanted, rtol=1e-4)
  # And of the output, of which an entry of the batch counts.
  y = np.asarray(apply(layer, variables, x, None), np.float64)
  found = jax.grad(loss)(params, quantized.settings(0, 4))["output"]
  u = y / 0.3
  each = np.where(np.abs(u) <= 7, np.round(u) - u, np.clip(u, -7, 7))
  wanted = np.sum(each * np.asarray(g)) / np.sqrt(9 * 6 * 5 * 7)
  np.testing.assert_allclose(found["step_size"], wanted, rtol=1e-3)


def test_a_step_may_be_negative():
  """Learned ones may be pushed over 0; their size counts."""
  x = jnp.array([[0.3, 1.6]])
  module = quantizers.Quantizer(quantize.unsigned(4), (0, 1))
  with quantize.attach(quantized.settings()):
    for step in (0.5, -0.5):
      found = module.apply({"params": {"step_size": jnp.float32(step)}}, x)
      np.testing.assert_array_equal(found, [[0.5, 1.5]])


def test_settings_are_read_by_the_registry():
  module = registry.create_model(
    {"name": "gaitbase"}, quantization=quantized.section(8, 4)
  )
  assert module.quantization.name == "W8A4"
