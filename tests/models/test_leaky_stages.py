"""Stages without normalisation."""

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax.models import leaky_stages


def test_the_last_odd_row_and_column_are_left_out():
  x = jnp.arange(15.0).reshape(1, 5, 3, 1)
  assert leaky_stages.max_pool(x)[0, ..., 0].tolist() == [[4], [10]]


class Stage(nn.Module):
  strips: int

  @nn.compact
  def __call__(self, x):
    return leaky_stages.stage(
      x,
      4,
      name="stage",
      dtype=jnp.float32,
      frames=3,
      strips=self.strips,
      pool=True,
    )


def test_a_strip_is_convolved_as_if_it_were_an_image():
  x = jax.random.normal(jax.random.key(0), (6, 8, 6, 2))
  variables = Stage(1).init(jax.random.key(1), x)
  assert variables["params"].keys() == {"stage_conv1", "stage_conv2"}
  together = Stage(2).apply(variables, x)
  upper, lower = (
    Stage(1).apply(variables, strip) for strip in (x[:, :4], x[:, 4:])
  )
  assert together.shape == (6, 4, 3, 4)
  np.testing.assert_allclose(
    together, jnp.concatenate([upper, lower], axis=1), rtol=1e-5, atol=1e-5
  )
  whole = Stage(1).apply(variables, x)
  assert float(jnp.abs(together - whole).max()) > 1e-3


def test_strips_and_widths_that_do_not_fit():
  with pytest.raises(ValueError, match="10 rows cannot be cut into 4 equal"):
    leaky_stages.check_strips(10, 4)
  with pytest.raises(ValueError, match="large has 4 channels"):
    leaky_stages.check_widths((1, 1, 1), "large")
  leaky_stages.check_strips(12, 4)
  leaky_stages.check_widths((1, 1, 1), "casiab")
