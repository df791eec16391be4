"""A convolution with its normalisation and activation."""

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import models
from gaitkd_jax.models import activations
from gaitkd_jax.models import conv_layer
from gaitkd_jax.models import layers
from gaitkd_jax.models import padding
from tests.helpers import networks


def random_variables(module, x):
  """Variables whose statistics are no longer those of the start."""
  variables = module.init(jax.random.key(1), x)
  leaves, tree = jax.tree.flatten(variables)
  keys = jax.random.split(jax.random.key(2), len(leaves))
  return jax.tree.unflatten(
    tree,
    [
      leaf + jax.random.uniform(key, leaf.shape)
      for key, leaf in zip(keys, leaves, strict=True)
    ],
  )


def plain(x, kernel, strides, pads, numbers):
  return lax.conv_general_dilated(
    x, kernel, strides, [(p, p) for p in pads], dimension_numbers=numbers
  )


CASES = {
  "spatial": (conv_layer.ConvLayer(4, strides=(2, 2)), (2, 2), (1, 1)),
  "pointwise": (conv_layer.ConvLayer(4, (1, 1)), (1, 1), (0, 0)),
  "temporal": (conv_layer.ConvLayer(4, (3, 1)), (1, 1), (1, 0)),
  "pace": (
    conv_layer.ConvLayer(4, (3, 1), (3, 1), (0, 0)),
    (3, 1),
    (0, 0),
  ),
  "clips": (
    conv_layer.ConvLayer(4, (3, 3, 3), (1, 2, 2)),
    (1, 2, 2),
    (1, 1, 1),
  ),
}


@pytest.mark.parametrize("activation", ["none", "relu", "leaky_relu"])
@pytest.mark.parametrize("case", CASES)
def test_evaluation_is_convolution_normalisation_activation(case, activation):
  module, strides, pads = CASES[case]
  module = module.clone(activation=activation)
  shape = (2, 6, 8, 6, 3) if case == "clips" else (2, 8, 6, 3)
  x = jax.random.normal(jax.random.key(0), shape)
  variables = random_variables(module, x)
  params, norm = variables["params"], variables["batch_stats"]["norm"]
  numbers = ("NHWC", "HWIO", "NHWC")
  if case == "clips":
    numbers = ("NDHWC", "DHWIO", "NDHWC")
  y = plain(x, params["kernel"], strides, pads, numbers)
  c = (1,) * (y.ndim - 1) + (-1,)
  y = (y - norm["mean"].reshape(c)) / jnp.sqrt(norm["var"] + 1e-5).reshape(c)
  y = y * params["norm"]["scale"].reshape(c)
  y = y + params["norm"]["bias"].reshape(c)
  expected = activations.ACTIVATIONS[activation](y)
  out = module.apply(variables, x)
  np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-4)
  # And so is what it is folded into.
  folded = module.fold(params, variables["batch_stats"])
  assert folded.activation == activation
  y = plain(x, folded.kernel, strides, pads, numbers)
  expected = activations.ACTIVATIONS[activation](y + folded.bias.reshape(c))
  np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)


def test_training_normalises_by_the_batch_and_records_it():
  module = conv_layer.ConvLayer(4, activation="relu")
  x = jax.random.normal(jax.random.key(0), (6, 8, 6, 3))
  variables = random_variables(module, x)
  out, updated = module.apply(variables, x, train=True, mutable=["batch_stats"])
  params = variables["params"]
  y = plain(x, params["kernel"], (1, 1), (1, 1), ("NHWC", "HWIO", "NHWC"))
  y = np.asarray(y, np.float64)
  mean, var = y.mean((0, 1, 2)), y.var((0, 1, 2))
  y = (
    (y - mean)
    / np.sqrt(var + 1e-5)
    * params["norm"]["scale"].reshape(1, 1, 1, 4)
  )
  y = np.maximum(y + params["norm"]["bias"].reshape(1, 1, 1, 4), 0)
  np.testing.assert_allclose(out, y, rtol=1e-4, atol=1e-5)
  before = variables["batch_stats"]["norm"]["mean"]
  np.testing.assert_allclose(
    updated["batch_stats"]["norm"]["mean"], 0.9 * before + 0.1 * mean, rtol=1e-5
  )


def test_without_normalisation_there_is_a_kernel_only():
  module = conv_layer.ConvLayer(4, normalized=False)
  x = jnp.ones((2, 8, 6, 3))
  variables = module.init(jax.random.key(0), x)
  assert variables.keys() == {"params"}
  assert variables["params"].keys() == {"kernel"}
  folded = module.fold(variables["params"], {})
  assert folded.bias is None
  assert folded.kernel is variables["params"]["kernel"]


@pytest.mark.parametrize("window", [(3, 1), (3, 3, 3)])
def test_frames_outside_the_mask_are_zero_to_the_others(window):
  x = jax.random.normal(jax.random.key(0), (1, 4, 6, 5, 2))
  module = conv_layer.ConvLayer(4, window, normalized=False)
  lengths = jnp.array([2])

  def apply(x, lengths):
    clips = padding.Clips(x.shape[1], padding.frame_mask(lengths, x.shape[1]))
    if len(window) == 3:
      return module.apply(variables, padding.zero_outside(x, clips.mask))
    return layers.over_time(
      lambda image, mask: module.apply(variables, image), x, clips
    )

  example = x if len(window) == 3 else x.reshape(1, 4, 30, 2)
  variables = module.init(jax.random.key(1), example)
  alone = apply(x[:, :2], None)
  padded = apply(x.at[:, 2:].set(jnp.nan), lengths)[:, :2]
  np.testing.assert_allclose(padded, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
  "name", ["gaitbase", "deepgaitv2-p3d", "gaitset", "gaitbase_plain"]
)
def test_layers_of_a_network_fold(name):
  module = networks.smoke(models.known_kinds().get(name) or {"name": name})
  variables = networks.initial_variables(module)
  shape = jax.ShapeDtypeStruct((1, 2, 64, 44), jnp.float32)
  folded = conv_layer.fold_layers(module, variables, shape)
  kernels = {
    "/".join(key.key for key in path[:-1])
    for path, leaf in jax.tree.leaves_with_path(variables["params"])
    if path[-1].key == "kernel" and leaf.ndim == 4
  }
  assert folded.keys() == kernels
  first = next(iter(folded.values()))
  assert first.kernel.shape[2] == 1
  plain = name in ("gaitset", "gaitbase_plain")
  assert first.activation == ("leaky_relu" if plain else "relu")
  assert (first.bias is None) == plain
