"""Inputs for the tests of losses, and what their definitions are made of."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.parity import vectors

EMBEDDING_SHAPE = 6, 3, 5
EMBEDDING_LABELS = np.array([0, 0, 1, 1, 2, 2])
LOGIT_SHAPE = 5, 4, 12
LOGIT_LABELS = np.array([3, 0, 3, 7, 11])


def embedding_pair():
  """Embeddings `[n, p, d]` of a student and a teacher."""
  rng = np.random.default_rng(0)
  return tuple(
    jnp.asarray(rng.normal(size=EMBEDDING_SHAPE), jnp.float32) for _ in range(2)
  )


def logit_pair():
  """Logits `[n, p, k]` of a student and a teacher."""
  rng = np.random.default_rng(0)
  return tuple(
    jnp.asarray(rng.uniform(-1, 1, LOGIT_SHAPE), jnp.float32) for _ in range(2)
  )


def unit(x, axis=-1):
  x = np.float64(x)
  return x / np.linalg.norm(x, axis=axis, keepdims=True)


def cosines(x, y):
  """`[p, n, m]`."""
  return np.einsum("ipd,jpd->pij", unit(x), unit(y))


def huber(x, delta=1.0):
  x = np.abs(x)
  return np.where(x <= delta, 0.5 * x**2, delta * (x - 0.5 * delta))


def rotation(width):
  return np.linalg.qr(np.random.default_rng(3).normal(size=(width, width)))[0]


def softmax(x):
  x = np.exp(np.float64(x) - np.max(x, axis=-1, keepdims=True))
  return x / x.sum(axis=-1, keepdims=True)


def masses(teacher, groups, count, temperature=4.0, scale=16.0):
  """The teacher's probability of every group of classes."""
  p_t = softmax(scale / temperature * np.asarray(teacher))
  return [
    jnp.asarray((p_t * (groups == g)).sum(-1), jnp.float32)
    for g in range(count)
  ]


def same_function(function, expected, student, rtol=1e-5):
  """Equal in value and in gradient with respect to the student."""
  value, grad = jax.jit(jax.value_and_grad(function))(student)
  wanted, wanted_grad = jax.jit(jax.value_and_grad(expected))(student)
  np.testing.assert_allclose(value, wanted, rtol=rtol)
  assert vectors.difference(grad, wanted_grad) < rtol
