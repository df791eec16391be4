"""Hinton's distillation and its relatives."""

import jax
import numpy as np
import pytest

from gaitkd_jax import losses
from tests.helpers import oracles
from tests.parity import vectors

N, P, K = oracles.LOGIT_SHAPE
LABELS = oracles.LOGIT_LABELS


@pytest.fixture(scope="module")
def pair():
  return oracles.logit_pair()


def test_plain_kd_oracles(pair):
  student, teacher = pair
  p_s, p_t = (oracles.softmax(np.asarray(x) / 4.0) for x in pair)
  value, grad = jax.value_and_grad(losses.kd_loss)(student, teacher)
  expected = 16 * np.mean(np.sum(p_t * np.log(p_t / p_s), axis=-1))
  np.testing.assert_allclose(value, expected, rtol=1e-5)
  assert vectors.difference(grad, 4 * (p_s - p_t) / (N * P)) < 1e-5
  assert abs(losses.kd_loss(student, student + 0.5)) < 1e-6
  # At the scale of the cross entropy it is GaitKD's.
  np.testing.assert_allclose(
    losses.kd_loss(student, teacher, 2.0, 16.0),
    losses.decision_loss(student, teacher, 2.0),
    rtol=1e-6,
  )


@pytest.mark.parametrize("loss", [losses.ka_ps_loss, losses.ka_lsr_loss])
def test_a_teacher_who_is_right_is_left_alone(pair, loss):
  student, teacher = pair
  right = teacher.at[np.arange(N), :, LABELS].set(1.5)
  np.testing.assert_allclose(
    loss(student, right, LABELS),
    losses.decision_loss(student, right),
    rtol=1e-6,
  )
  assert abs(loss(student, teacher, LABELS) - losses.decision_loss(*pair)) > 0.1


def test_logit_standardisation(pair):
  student, teacher = pair
  out = np.asarray(losses.logit_standardisation(student))
  np.testing.assert_allclose(out.mean(-1), 0.0, atol=1e-6)
  np.testing.assert_allclose(out.std(-1), 1.0, rtol=1e-5)
  # The student's own range and offset are free.
  moved = 3.0 * teacher - 2.0
  value = losses.decision_loss(
    *map(losses.logit_standardisation, (moved, teacher)), 2.0, 1.0
  )
  assert abs(value) < 1e-6
  value = losses.decision_loss(
    *map(losses.logit_standardisation, (student, teacher)), 2.0, 1.0
  )
  assert value > 0.1


def test_standardised_kd_is_the_divergence_of_standardised_logits(pair):
  student, teacher = pair
  p_s, p_t = (
    oracles.softmax(
      (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True) / 3.0
    )
    for x in map(np.float64, pair)
  )
  expected = 9 * np.mean(np.sum(p_t * np.log(p_t / p_s), axis=-1))
  value = losses.standardised_kd_loss(student, teacher, 3.0)
  np.testing.assert_allclose(value, expected, rtol=1e-5)
  # The student's own range and offset are free.
  assert abs(losses.standardised_kd_loss(3.0 * teacher - 2.0, teacher)) < 1e-6
