"""Products in a traced program."""

import jax
import jax.numpy as jnp
import pytest

from gaitkd_jax import cost
from gaitkd_jax import models
from gaitkd_jax.cost import program

_LARGE = dict(channels=(32, 64, 128, 256), variant="large")


def test_products_and_loops_by_hand():
  def function(x, w):
    def body(total, _):
      return total + x @ w, None

    return jax.lax.scan(body, jnp.zeros((2, 5)), None, length=7)

  count = cost.multiply_accumulates(
    function, jnp.ones((2, 3)), jnp.ones((3, 5))
  )
  assert count == 7 * 2 * 3 * 5


@pytest.mark.parametrize(
  "config, gmac",
  [
    (dict(name="gaitbase_plain"), 0.420),
    (dict(name="gaitset"), 0.109),
    (dict(name="gaitset", channels=(64, 128, 256)), 0.430),
    (dict(name="gaitpart"), 0.107),
    (dict(name="gaitgl"), 0.421),
    (dict(name="gaitgl", num_classes=5153, **_LARGE), 1.955),
  ],
)
def test_a_clips_products_equal_the_references(config, gmac):
  # The reference gives means of 30 frames and counts what comes once a clip,
  # such as the classifier, which matters in the large GaitGL.
  module = models.create_model(config)
  variables, x = program.abstract(module, 1, 30)
  count = cost.multiply_accumulates(module.apply, variables, x)
  assert count / 30e9 == pytest.approx(gmac, abs=6e-4)


def test_only_what_is_needed_is_kept():
  def function(x):
    return {"sum": x + 1, "unused": x @ x.T}

  closed = jax.make_jaxpr(function)(jnp.ones((2, 3)))
  total = closed.jaxpr.outvars[0]
  kept = program.needed(closed.jaxpr, [total])
  assert [eqn.primitive.name for eqn in kept] == ["add"]
  assert program.count(closed.jaxpr) == 2 * 2 * 3


def test_end_points_of_a_trace():
  module = models.create_model(dict(name="gaitset", channels=(4, 4, 8)))
  traced = program.trace(module, 2, 3)
  assert traced.ends["set"].aval.shape == (2, 16, 11, 8)
  _, x = program.abstract(module, 2, 3, width=8)
  assert x.shape == (2, 3, 64, 8, 1)
