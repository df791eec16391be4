"""Small networks, weights at which nothing is small, and padded batches."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from gaitkd_jax import models

LENGTHS = (1, 2, 3, 4, 5, 6, 7)
_LARGE = dict(variant="large", channels=(4, 4, 8, 8))
# Without batch normalisation in front of the head.
LEAKY = {
  "gaitbase_plain": dict(
    name="gaitbase_plain", channels=(4, 4, 8), embedding_dim=8, num_classes=3
  ),
  "gaitset": dict(name="gaitset", channels=(4, 4, 8), embedding_dim=8),
  "gaitpart": dict(name="gaitpart", channels=(4, 4, 8), embedding_dim=8),
  "gaitpart_large": dict(name="gaitpart", embedding_dim=8, **_LARGE),
  "gaitgl": dict(name="gaitgl", channels=(4, 4, 8), num_classes=3),
  "gaitgl_neck": dict(name="gaitgl", num_classes=3, neck=True, **_LARGE),
}
RESIDUAL = {
  "skeletongaitpp": dict(
    name="skeletongaitpp", num_classes=3, base_channels=8, blocks=(1, 1, 1, 1)
  ),
  # The second transformer block is a shifted one.
  "swingait": dict(
    name="swingait",
    num_classes=3,
    channels=(4, 8),
    blocks=(0, 1, 2, 1),
    dim=16,
    drop_path_rate=0.0,
  ),
}


def smoke(config):
  """A network in its smoke size."""
  size = models.create_model(config).smoke_size
  return models.create_model({**config, **size})


@functools.cache
def _init(module):
  return jax.jit(functools.partial(models.init_variables, module))


def initial_variables(module, seed=0):
  """`models.init_variables`, as one program and not as hundreds."""
  return _init(module)(jax.random.key(seed))


def random_variables(module, gain=2.0, seed=0):
  """Variables whose layers keep the size of values, whatever is drawn first."""
  rng = np.random.default_rng(seed)
  variables = jax.tree.map(
    lambda x: (
      rng.standard_normal(x.shape) * np.sqrt(gain / np.prod(x.shape[:-1]))
    ).astype(np.float32),
    models.abstract_variables(module),
  )
  variables["batch_stats"] = jax.tree.map(
    lambda x: np.abs(x) + 0.5, variables["batch_stats"]
  )
  if "pool" in variables["params"]:  # GaitGL's exponent is none of the layers
    variables["params"]["pool"]["exponent"] = np.full(1, 6.5, np.float32)
  return variables


def clips(module, n=7, s=7, seed=1):
  """Random clips, float32 `[n, s, 64, 44, c]`."""
  rng = np.random.default_rng(seed)
  x = rng.uniform(size=(n, s, 64, 44, module.in_channels))
  return jnp.asarray(x, jnp.float32)


def with_nan(x, more=0):
  """A batch with NaN beyond each of `LENGTHS`, and `more` frames of it."""
  x = jnp.pad(x, ((0, 0), (0, more)) + ((0, 0),) * (x.ndim - 2))
  beyond = jnp.arange(x.shape[1])[None, :] >= jnp.array(LENGTHS)[:, None]
  return jnp.where(
    beyond.reshape(beyond.shape + (1,) * (x.ndim - 2)), jnp.nan, x
  )


def check_bfloat16(config):
  """Checks what a bfloat16 network returns against the float32 network."""
  module = models.create_model(config)
  variables, x = random_variables(module), clips(module)[4:]
  expected = jax.jit(module.apply)(variables, x)
  out = jax.jit(models.create_model(config, "bfloat16").apply)(variables, x)
  assert out["stage1"].dtype == out["stage3"].dtype == jnp.bfloat16
  for key in {"embedding", "retrieval", "logits"} & out.keys():
    assert out[key].dtype == jnp.float32
    a, b = np.ravel(out[key]), np.ravel(expected[key])
    assert a @ b > 0.999 * np.linalg.norm(a) * np.linalg.norm(b), key


def masked_gradients(module, variables, x, key):
  """Gradients of a loss of logits on a batch with NaN, and the outputs."""

  def loss(params):
    out, _ = module.apply(
      {**variables, "params": params},
      with_nan(x),
      jnp.array(LENGTHS),
      train=True,
      mutable=["batch_stats"],
      rngs={"dropout": key},
    )
    return jnp.sum(jnp.square(out["logits"])), out

  return jax.grad(loss, has_aux=True)(variables["params"])


def check_dtypes(config):
  """Checks what a bfloat16 network computes in it, and what in float32."""
  module = models.create_model(config, "bfloat16")
  step = functools.partial(masked_gradients, module)
  variables, x = random_variables(module), clips(module)
  grads, out = jax.eval_shape(step, variables, x, jax.random.key(0))
  for key in ("embedding", "logits", "retrieval"):
    assert out[key].dtype == jnp.float32
  for key in ("stage1", "stage2", "stage3", "stage4", "set"):
    assert out[key].dtype == jnp.bfloat16
  assert {g.dtype for g in jax.tree.leaves(grads)} == {jnp.dtype("float32")}
