"""Linear layers of parts, necks and connectors."""

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gaitkd_jax.models import heads


def test_every_part_has_its_own_layer():
  x = jax.random.normal(jax.random.key(0), (2, 3, 4))
  module = heads.SeparateFC(5)
  variables = module.init(jax.random.key(1), x)
  kernel = variables["params"]["kernel"]
  assert kernel.shape == (3, 4, 5)
  out = module.apply(variables, x)
  for part in range(3):
    np.testing.assert_allclose(
      out[:, part], x[:, part] @ kernel[part], rtol=1e-5, atol=1e-6
    )


def test_initial_values_have_pytorchs_fans():
  kernel = heads.part_init(jax.random.key(0), (16, 32, 64))
  bound = np.sqrt(6 / (32 * 64 + 16 * 64))
  assert 0.99 * bound < float(jnp.abs(kernel).max()) <= bound


def test_logits_are_cosines():
  x = 5.0 * jax.random.normal(jax.random.key(0), (6, 2, 4))
  module = heads.Neck(3)
  variables = module.init(jax.random.key(1), x, train=False)
  feature, logits = module.apply(variables, x, train=False)
  np.testing.assert_allclose(jnp.linalg.norm(feature, axis=-1), 1, rtol=1e-5)
  kernel = variables["params"]["kernel"]
  expected = feature[1, 0] @ kernel[0, :, 2] / jnp.linalg.norm(kernel[0, :, 2])
  np.testing.assert_allclose(logits[1, 0, 2], expected, rtol=1e-5)
  assert float(jnp.abs(logits).max()) <= 1 + 1e-6


def test_a_connector_has_the_teachers_width_and_statistics_of_its_own():
  x = jax.random.normal(jax.random.key(0), (6, 2, 4))
  module = heads.Connector(7)
  variables = module.init(jax.random.key(1), x, train=True)
  out, updated = module.apply(variables, x, train=True, mutable=["batch_stats"])
  assert out.shape == (6, 2, 7)
  assert updated["batch_stats"]["bn"]["mean"].shape == (14,)
  # Normalised, up to the scale that is drawn around 1.
  np.testing.assert_allclose(out.mean(axis=0), jnp.zeros((2, 7)), atol=1e-5)


class Head(nn.Module):
  num_classes: int

  @nn.compact
  def __call__(self, x):
    return heads.describe_parts(x, 5, self.num_classes, jnp.float32, False)


def test_parts_are_classified_if_there_are_classes():
  x = jax.random.normal(jax.random.key(0), (2, 3, 4))
  variables = Head(6).init(jax.random.key(1), x)
  assert variables["params"].keys() == {"fc", "neck"}
  out = Head(6).apply(variables, x)
  shapes = {key: value.shape for key, value in out.items()}
  assert shapes == dict(embedding=(2, 3, 5), neck=(2, 3, 5), logits=(2, 3, 6))
  assert Head(0).init_with_output(jax.random.key(1), x)[0].keys() == {
    "embedding"
  }


def test_unit_length_of_nothing_has_a_finite_gradient():
  x = jnp.zeros((1, 3))
  np.testing.assert_array_equal(heads.unit_length(x, axis=-1), x)
  grad = jax.grad(lambda x: heads.unit_length(x, axis=-1).sum())(x)
  assert np.isfinite(grad).all()
