"""Quantised networks, and what their layers read."""

from flax import linen as nn
from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from gaitkd_jax import models
from gaitkd_jax import quantize
from gaitkd_jax.models import conv_layer
from gaitkd_jax.models import gaitpart
from gaitkd_jax.models import heads
from gaitkd_jax.models import quantizers
from gaitkd_jax.quantize import calibration

READERS = (conv_layer.ConvLayer, heads.SeparateFC, gaitpart.PartConv)


def section(weights=4, activations=4, **changes):
  """`config.quantization` as a dict."""
  return (
    dict(
      weights=weights,
      activations=activations,
      rounding="ste",
      sharpness=dict(kind="constant", value=4.0),
      ewgs_delta=0.02,
      forward="hard",
      scales="learned",
      observer="least_squares",
      range="full",
      batches=1,
      scale_rate=1.0,
      rounding_from=0,
      hold_norms_from=0,
      freeze_scales_from=0,
    )
    | changes
  )


def settings(*args, **changes):
  """Of `section`."""
  return quantize.create_settings(section(*args, **changes))


def initial(module):
  """Variables as a training begins with."""
  return jax.jit(lambda key: models.init_variables(module, key))(
    jax.random.key(0)
  )


def with_observed_steps(module, variables, x, lengths=None):
  """Variables whose steps are those that a batch asks for."""
  with quantize.observing():
    _, found = module.apply(variables, x, lengths, mutable=["observed"])
  flat = traverse_util.flatten_dict(found["observed"])
  steps = {path: values[0] for path, values in flat.items()}
  return calibration.with_steps(variables, traverse_util.unflatten_dict(steps))


def steps_of(tree):
  """Steps by the path of their quantiser, such as "stem/weights"."""
  flat = traverse_util.flatten_dict(tree, sep="/")
  return {
    name.removesuffix("/step_size"): value
    for name, value in flat.items()
    if name.split("/")[-1] == "step_size"
  }


def watched(module, variables, x):
  """Calls a network and looks at its layers.

  Returns:
    The end points; by path what each of `READERS` is given; and by path what
    each quantiser is given and returns, and its grid.
  """
  read, quantized, grids = {}, {}, {}

  def look(call, args, kwargs, context):
    out = call(*args, **kwargs)
    path = "/".join(context.module.path)
    if context.method_name == "__call__":
      if isinstance(context.module, READERS):
        read.setdefault(path, args[0])
      if isinstance(context.module, quantizers.Quantizer):
        grids[path] = context.module.grid
        quantized[path] = args[0], out
    return out

  def forward(variables, x):
    with nn.intercept_methods(look):
      out = module.apply(variables, x)
    return out, dict(read), dict(quantized)

  out, read, quantized = jax.jit(forward)(variables, x)
  return out, read, {k: (*v, grids[k]) for k, v in quantized.items()}


def codes_of(x, step):
  """The whole numbers of steps that values are, exactly."""
  u = np.asarray(x, np.float64) / np.float64(step)
  whole = np.round(u)
  np.testing.assert_allclose(u, whole, atol=1e-3)
  assert (np.float32(step) * np.float32(whole) == np.asarray(x)).all()
  return whole.astype(np.int64)


def silhouettes(module, n=2, s=3, seed=0):
  """Random pixels of a network, on the grid of bytes."""
  rng = np.random.default_rng(seed)
  pixels = rng.integers(0, 256, (n, s, 64, 44, module.in_channels))
  return jnp.asarray(pixels / 255.0, jnp.float32)


def small(name, **quantization):
  """A network of `models.known_kinds` in its smoke size, and its float twin."""
  config = models.known_kinds()[name]
  config |= models.create_model(config).smoke_size
  classifies = "num_classes" in models.config_keys(config["name"])
  config |= {"num_classes": 3} if classifies else {}
  return models.create_model(
    config, quantization=section(**quantization) if quantization else None
  )
