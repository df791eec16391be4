"""The plain baseline: the size of its frames, precision, configs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax import models
from tests.helpers import networks

FOUR = dict(channels=(4, 4, 8, 8), embedding_dim=8, num_classes=3)


def build(**values):
  return models.create_model(dict(name="gaitbase_plain") | values)


def test_bfloat16_inside_and_float32_outside():
  networks.check_bfloat16(dict(name="gaitbase_plain", **FOUR))


@pytest.mark.parametrize(
  "values, size, last",
  [
    (dict(halvings=0), (64, 44), (64, 44)),
    (dict(halvings=2), (64, 44), (16, 11)),
    (dict(halvings=3), (128, 88), (16, 11)),
    (dict(halvings=3, bins=(8, 1)), (64, 44), (8, 5)),
  ],
)
def test_frames_are_large_enough_for_all_strips(values, size, last):
  module = build(**FOUR, **values)
  assert module.frame_size == size
  x = jax.ShapeDtypeStruct((2, 3, *size), jnp.float32)
  out = jax.eval_shape(module.apply, models.abstract_variables(module), x)
  assert out["stage4"].shape == (2, 3, *last, 8)
  assert out["set"].shape == (2, *last, 8)
  assert out["embedding"].shape == (2, sum(module.bins), 8)


def test_frames_that_are_too_small_are_refused():
  module = build(**FOUR, halvings=3)
  x = jax.ShapeDtypeStruct((2, 3, 64, 44), jnp.float32)
  with pytest.raises(ValueError, match="64 rows.*multiple of 128, or fewer"):
    jax.eval_shape(module.apply, models.abstract_variables(module), x)


def test_levels_are_strips_of_one_map_from_the_top():
  # The embedding is the pooled strip itself where the linear layer is 1.
  module = build(channels=(4,), halvings=0, bins=(2, 1), embedding_dim=4)
  variables = networks.random_variables(module)
  kernel = variables["params"]["fc"]["kernel"]
  variables["params"]["fc"]["kernel"] = np.broadcast_to(np.eye(4), kernel.shape)
  out = jax.jit(module.apply)(variables, networks.clips(module, n=2, s=3))
  bands = out["set"][:, :32], out["set"][:, 32:], out["set"]
  expected = jnp.stack([x.mean((1, 2)) + x.max((1, 2)) for x in bands], axis=1)
  np.testing.assert_allclose(out["embedding"], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
  "values, message",
  [
    (dict(halvings=3), "3 stages have fewer than 3 halvings"),
    (dict(halvings=4), "0, 1, 2 or 3"),
    (dict(channels=()), "one or more positive numbers"),
    (dict(bins=(16, 3)), "one or more of 1, 2, 4, 8, 16"),
    (dict(parts=16), "no key parts"),
    (dict(retrieval="neck"), "no neck"),
  ],
)
def test_bad_configs(values, message):
  with pytest.raises(errors.UserError, match=message) as caught:
    build(**values)
  assert "\n" not in str(caught.value)
