"""From batches to the frames of a network."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import models
from gaitkd_jax.models import inputs

SMALL = dict(name="deepgaitv2", channels=(2, 2, 2, 2), blocks=(1, 1, 1, 1))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_network_picks_its_channels(channels):
  module = models.create_model(SMALL | {"in_channels": channels})
  assert module.in_channels == channels
  x = jax.random.uniform(jax.random.key(1), (1, 2, 64, 44, 3))
  picked = {1: x[..., 2:], 2: x[..., :2], 3: x}[channels]
  init = jax.jit(functools.partial(models.init_variables, module))
  variables = init(jax.random.key(0))
  apply = jax.jit(module.apply)
  of_all, of_picked = (
    apply(variables, pixels)["embedding"] for pixels in (x, picked)
  )
  np.testing.assert_array_equal(of_all, of_picked)
  if channels > 1:
    with pytest.raises(ValueError, match="has 1|have 1"):
      apply(variables, jnp.ones((1, 2, 64, 44)))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_modalities_of_a_batch(channels):
  batch = {
    "silhouettes": jnp.full((1, 2, 4, 3), 255, jnp.uint8),
    "heatmaps": jnp.stack(
      [jnp.full((1, 2, 4, 3), value, jnp.uint8) for value in (51, 102)], -1
    ),
  }
  x = inputs.network_input(batch, channels)
  assert x.dtype == jnp.float32
  expected = {1: 1.0, 2: [0.2, 0.4], 3: [0.2, 0.4, 1.0]}[channels]
  assert x.shape == (1, 2, 4, 3) + np.shape(expected)
  np.testing.assert_allclose(x[0, 0, 0, 0], expected, rtol=1e-6)


def test_frames_beyond_the_end_are_blank():
  x = jnp.full((2, 3, 4, 5), jnp.nan).at[0].set(1.0).at[1, 0].set(1.0)
  frames = inputs.read_frames(x, jnp.array([3, 1]), 1, jnp.bfloat16)
  assert frames.pixels.dtype == jnp.bfloat16
  assert frames.pixels.shape == (2, 3, 4, 5, 1)
  kept = frames.pixels[:, :, 0, 0, 0]
  assert kept.tolist() == [[1, 1, 1], [1, 0, 0]]
  assert frames.valid.tolist() == kept.astype(bool).tolist()
  assert frames.clips.mask.shape == (2, 3, 1, 1, 1)
  whole = inputs.read_frames(x, None, 1, jnp.float32)
  assert whole.lengths is whole.valid is whole.clips.mask is None
  np.testing.assert_array_equal(whole.pixels[..., 0], x)


def test_another_number_of_axes_is_refused():
  with pytest.raises(ValueError, match=r"\(3, 4, 5\); give \[n, s, h, w\]"):
    inputs.read_frames(jnp.zeros((3, 4, 5)), None, 1, jnp.float32)
