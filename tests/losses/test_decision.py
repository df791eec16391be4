"""GaitKD's decision level."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import losses
from tests.helpers import oracles
from tests.parity import vectors


def test_decision_oracles():
  keys = jax.random.split(jax.random.key(0), 3)
  student = jax.random.uniform(keys[0], (5, 4, 7), minval=-1)
  teacher = jax.random.uniform(keys[1], (5, 4, 7), minval=-1)
  # Adding a constant to a row changes nothing.
  shifted = student + jax.random.normal(keys[2], (5, 4, 1))
  assert abs(losses.decision_loss(student, shifted)) < 1e-4
  # The gradient is T a (P_s - P_t) / (n p).
  p_s = jax.nn.softmax(4 * student)
  p_t = jax.nn.softmax(4 * teacher)
  grad = jax.grad(losses.decision_loss)(student, teacher)
  assert vectors.difference(grad, 4 * 16 * (p_s - p_t) / 20) < 1e-5
  # Identical parts count as one.
  one = losses.decision_loss(student[:, :1], teacher[:, :1])
  many = losses.decision_loss(
    jnp.repeat(student[:, :1], 6, axis=1), jnp.repeat(teacher[:, :1], 6, axis=1)
  )
  np.testing.assert_allclose(one, many, rtol=1e-6)
  # Equal weights are the default; no gradient reaches the teacher.
  weighted = losses.decision_loss(
    student, teacher, part_weight=jnp.full([4], 0.25)
  )
  np.testing.assert_allclose(
    weighted, losses.decision_loss(student, teacher), rtol=1e-6
  )
  assert not jax.grad(losses.decision_loss, 1)(student, teacher).any()


def test_distributions_are_mixed_by_height():
  rng = np.random.default_rng(0)
  student = jnp.asarray(rng.uniform(-1, 1, (5, 4, 7)), jnp.float32)
  teacher = jnp.asarray(rng.uniform(-1, 1, (5, 3, 7)), jnp.float32)
  overlap = losses.overlap_matrix(4, 3)
  p_s, p_t = (oracles.softmax(8 * np.asarray(x)) for x in (student, teacher))
  mixed = np.einsum("pq,nqk->npk", np.float64(overlap), p_t)
  expected = 4 * np.sum(mixed * np.log(mixed / p_s), axis=-1).mean()
  value = losses.decision_loss(student, teacher, 2.0, overlap=overlap)
  np.testing.assert_allclose(value, expected, rtol=1e-5)
  # Equal strips overlap with themselves only.
  same = losses.decision_loss(
    student[:, :3], teacher, overlap=losses.overlap_matrix(3, 3)
  )
  np.testing.assert_allclose(
    same, losses.decision_loss(student, teacher), rtol=1e-5
  )
  with pytest.raises(ValueError, match=r"\(4, 2\).*\(5, 3, 7\)"):
    losses.decision_loss(student, teacher, overlap=overlap[:, :2])
  with pytest.raises(ValueError, match="mixed to 2 parts"):
    losses.decision_loss(student, teacher, overlap=overlap[:2])
