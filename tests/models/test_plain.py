"""GaitSet, GaitPart and GaitGL: padding, heads, precision, values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax.models import gaitgl
from gaitkd_jax.models import plain
from gaitkd_jax.models import pooling
from tests.parity import vectors

LENGTHS = (1, 2, 3, 4, 5, 6, 7)
LARGE = dict(variant="large", channels=(4, 4, 8, 8))
CONFIGS = {
  "gaitset": dict(name="gaitset", channels=(4, 4, 8), embedding_dim=8),
  "gaitpart": dict(name="gaitpart", channels=(4, 4, 8), embedding_dim=8),
  "gaitpart_large": dict(name="gaitpart", embedding_dim=8, **LARGE),
  "gaitgl": dict(name="gaitgl", channels=(4, 4, 8), num_classes=3),
  "gaitgl_neck": dict(name="gaitgl", num_classes=3, neck=True, **LARGE),
}


def variables_of(module):
  """Weights at which nothing is small, whatever the initial values are."""
  rng = np.random.default_rng(0)
  variables = jax.tree.map(
    lambda x: (
      rng.standard_normal(x.shape) * np.sqrt(2 / np.prod(x.shape[:-1]))
    ).astype(np.float32),
    jax.eval_shape(
      lambda key: models.init_variables(module, key), jax.random.key(0)
    ),
  )
  variables["batch_stats"] = jax.tree.map(
    lambda x: np.abs(x) + 0.5, variables["batch_stats"]
  )
  if "pool" in variables["params"]:
    variables["params"]["pool"]["exponent"] = np.full(1, 6.5, np.float32)
  return variables


@pytest.fixture(params=CONFIGS, scope="module")
def network(request):
  config = CONFIGS[request.param]
  module = models.create_model(config)
  x = np.random.default_rng(1).uniform(size=(len(LENGTHS), 7, 64, 44))
  x = jnp.asarray(x, jnp.float32)
  return config, module, variables_of(module), x


def padded(x, more=0):
  """The batch, its frames beyond each length NaN, and `more` of these."""
  x = jnp.pad(x, ((0, 0), (0, more), (0, 0), (0, 0)))
  beyond = jnp.arange(x.shape[1])[None, :] >= jnp.array(LENGTHS)[:, None]
  return jnp.where(beyond[:, :, None, None], jnp.nan, x)


def test_each_sequence_alone_equals_itself_in_a_batch(network):
  _, module, variables, x = network
  apply = jax.jit(module.apply)
  together = apply(variables, padded(x), jnp.array(LENGTHS))
  for i, length in enumerate(LENGTHS):
    alone = apply(variables, x[i : i + 1, :length])
    assert alone.keys() == together.keys()
    for key in {"embedding", "retrieval", "logits", "set"} & alone.keys():
      ours = together[key][i : i + 1]
      assert vectors.difference(ours, alone[key]) < 1e-5, (key, length)


def test_training_does_not_see_padding(network):
  _, module, variables, x = network
  weights = np.random.default_rng(2).standard_normal((7, 1, 8))

  def loss(params, x, lengths):
    out, updated = module.apply(
      {**variables, "params": params},
      x,
      lengths,
      train=True,
      mutable=["batch_stats"],
    )
    total = jnp.sum(jnp.asarray(weights, jnp.float32) * out["embedding"])
    if "logits" in out:
      total += jnp.sum(jnp.square(out["logits"]))
    return total, updated

  step = jax.jit(jax.value_and_grad(loss, has_aux=True))
  lengths = jnp.array(LENGTHS)
  theirs = step(variables["params"], x, lengths)
  ours = step(variables["params"], padded(x, 3), lengths)
  assert abs(ours[0][0] / theirs[0][0] - 1) < 1e-5
  for a, b, tolerance in (
    (ours[0][1], theirs[0][1], 1e-5),
    (ours[1], theirs[1], 1e-4),
  ):
    a, b = vectors.flat(a), vectors.flat(b)
    assert a.keys() == b.keys()
    for path, value in b.items():
      assert vectors.difference(a[path], value) < tolerance, path


def test_bfloat16_inside_and_float32_outside(network):
  config, module, variables, x = network
  half = models.create_model(config, "bfloat16")
  ours = jax.jit(half.apply)(variables, x[4:])
  theirs = jax.jit(module.apply)(variables, x[4:])
  assert ours["stage1"].dtype == ours["stage3"].dtype == jnp.bfloat16
  for key in {"embedding", "retrieval", "logits"} & ours.keys():
    assert ours[key].dtype == jnp.float32
    a, b = np.ravel(ours[key]), np.ravel(theirs[key])
    assert a @ b > 0.999 * np.linalg.norm(a) * np.linalg.norm(b), key


def test_short_sequences_are_repeated_each_on_its_own():
  x = jnp.arange(1.0, 7.0).reshape(3, 2)
  frames, lengths = gaitgl.repeat_short(x, jnp.array([1, 2, 2]))
  assert lengths.tolist() == [3, 4, 4]
  assert frames[0, :3].tolist() == [1, 1, 1]
  assert frames[1:].tolist() == [[3, 4, 3, 4], [5, 6, 5, 6]]
  frames, lengths = gaitgl.repeat_short(x, None)
  assert lengths is None
  assert frames[0].tolist() == [1, 2, 1, 2]
  assert gaitgl.repeat_short(x[:, :1], None)[0][0].tolist() == [1, 1, 1]


def test_generalised_mean_of_small_and_ordinary_values():
  x = np.random.default_rng(0).uniform(0.1, 2, (2, 8, 5, 3)).astype(np.float32)
  x[0, 2:4] = -1.0
  pool = gaitgl.GeneralisedMean(4)
  params = {"params": {"exponent": jnp.full(1, 6.5)}}
  ours = pool.apply(params, jnp.asarray(x))
  powers = np.maximum(x.astype(np.float64), 1e-6).reshape(2, 4, 10, 3) ** 6.5
  expected = powers.mean(axis=2) ** (1 / 6.5)
  np.testing.assert_allclose(ours, expected, rtol=1e-5)
  grads = jax.grad(lambda *a: jnp.sum(pool.apply(*a)), (0, 1))(params, x)
  assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))


def test_maximum_has_one_gradient_per_sequence():
  x = jnp.array([[2.0, 5.0, 5.0, 9.0], [1.0, 1.0, 0.0, 9.0]])[..., None]
  mask = jnp.array([[True, True, True, False]] * 2)
  grad = jax.grad(lambda x: jnp.sum(pooling.temporal_max(x, mask)))(x)
  assert grad[..., 0].tolist() == [[0, 1, 0, 0], [1, 0, 0, 0]]


def test_leaky_relu_has_pytorchs_slope_at_zero():
  slopes = jax.vmap(jax.grad(plain.leaky_relu))(jnp.array([-2.0, 0.0, 2.0]))
  np.testing.assert_allclose(slopes, [0.01, 0.01, 1.0])


def test_initial_values():
  module = models.create_model(dict(name="gaitgl", num_classes=5))
  params = jax.jit(lambda key: models.init_variables(module, key))(
    jax.random.key(0)
  )["params"]
  assert params["pool"]["exponent"] == 6.5
  for name, bound in (
    ("fc", np.sqrt(6 / (128 * 128 + 64 * 128))),
    ("classifier", np.sqrt(6 / (128 * 5 + 64 * 5))),
  ):
    largest = float(jnp.abs(params[name]["kernel"]).max())
    assert 0.99 * bound < largest <= bound, name
  kernel = params["stage1"]["local"]["conv"]["kernel"]
  bound = np.sqrt(6 / (27 * (32 + 64)))
  assert 0.99 * bound < float(jnp.abs(kernel).max()) <= bound


@pytest.mark.parametrize(
  "config, message",
  [
    (dict(name="gaitset", channels=(1, 1)), "three positive numbers"),
    (dict(name="gaitset", num_classes=3), "no key num_classes"),
    (dict(name="gaitpart", variant="big"), "give casiab or large"),
    (dict(name="gaitpart", variant="large"), "large has 4 channels"),
    (dict(name="gaitgl", channels=(1, 1, 1, 1)), "casiab has 3 channels"),
    (
      dict(name="gaitgl", num_classes=3, retrieval="neck"),
      "neck is False",
    ),
    (dict(name="gaitgl", neck=1), "True or False"),
  ],
)
def test_bad_configs(config, message):
  with pytest.raises(errors.UserError, match=message) as caught:
    models.create_model(config)
  assert "\n" not in str(caught.value)
