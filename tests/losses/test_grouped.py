"""Divergences by groups of classes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import losses
from tests.helpers import oracles

N, P, K = oracles.LOGIT_SHAPE
LABELS = oracles.LOGIT_LABELS


@pytest.fixture(scope="module")
def pair():
  return oracles.logit_pair()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_grouped_kl_with_the_teachers_masses_is_the_divergence(pair, count):
  student, teacher = pair
  rng = np.random.default_rng(1)
  groups = rng.integers(0, count, (N, P, K))
  groups[0, 0] = 0  # the others are empty
  weights = oracles.masses(teacher, groups, count)
  oracles.same_function(
    lambda z: losses.grouped_kl_loss(
      z, teacher, jnp.asarray(groups), 1.0, weights
    ),
    lambda z: losses.decision_loss(z, teacher),
    student,
  )


def test_grouped_kl_in_reverse(pair):
  student, teacher = pair
  groups = np.random.default_rng(1).integers(0, 2, (N, P, K))

  def value(direction, weights):
    return losses.grouped_kl_loss(
      student, teacher, jnp.asarray(groups), 1.0, weights, direction=direction
    )

  np.testing.assert_allclose(
    value("reverse", oracles.masses(student, groups, 2)),
    losses.decision_loss(teacher, student),
    rtol=1e-5,
  )
  np.testing.assert_allclose(
    value("both", (2.0, 3.0)),
    (value("forward", (2.0, 3.0)) + value("reverse", (2.0, 3.0))) / 2,
    rtol=1e-6,
  )


def test_dkd_with_the_teachers_mass_is_the_divergence(pair):
  student, teacher = pair
  groups = np.arange(K)[None, None] != LABELS[:, None, None]
  beta = oracles.masses(teacher, groups, 2)[1]
  oracles.same_function(
    lambda z: losses.dkd_loss(z, teacher, LABELS, 1.0, beta),
    lambda z: losses.decision_loss(z, teacher),
    student,
  )


@pytest.mark.parametrize("pick", ["best", "worst"])
@pytest.mark.parametrize("three", [False, True])
def test_gdkd_with_the_teachers_masses_is_the_divergence(pair, three, pick):
  student, teacher = pair
  sign = -1 if pick == "best" else 1
  rank = np.argsort(np.argsort(sign * np.asarray(teacher), -1), -1)
  groups = (rank >= (4 if three else 5)).astype(int)
  top, rest = oracles.masses(teacher, groups, 2)
  if three:
    top = oracles.masses(teacher, groups + (rank >= 1), 3)[1]
  oracles.same_function(
    lambda z: losses.gdkd_loss(
      z,
      teacher,
      top_weight=top,
      rest_weight=rest,
      three_groups=three,
      pick=pick,
    ),
    lambda z: losses.decision_loss(z, teacher),
    student,
  )


def test_grouped_kd_with_the_teachers_masses_is_the_divergence(pair):
  student, teacher = pair
  rank = np.argsort(np.argsort(-np.asarray(student), -1), -1)
  truth = np.arange(K)[None, None] == LABELS[:, None, None]
  primary, secondary = oracles.masses(teacher, (rank >= 3) & ~truth, 2)
  oracles.same_function(
    lambda z: losses.grouped_kd_loss(
      z,
      teacher,
      LABELS,
      top=3,
      primary_weight=primary,
      secondary_weight=secondary,
    ),
    lambda z: losses.decision_loss(z, teacher),
    student,
  )


def test_grouped_kd_adapts_to_the_student(pair):
  _, teacher = pair

  def value(student, **kwargs):
    return losses.grouped_kd_loss(student, teacher, LABELS, **kwargs)

  # Ten of twelve classes alike: .9 of the mass takes nine, .93 ten.
  alike = jnp.zeros([N, P, K]).at[..., 10:].set(-20.0)
  for share, top in ((0.85, 9), (0.93, 10)):
    np.testing.assert_allclose(
      value(alike, share=share), value(alike, top=top), rtol=1e-6
    )
  assert value(alike, share=0.93) != value(alike, top=9)
  one = jnp.zeros([N, P, K]).at[..., 4].set(20.0)
  np.testing.assert_allclose(
    value(one, share=0.93), value(one, top=1), rtol=1e-6
  )


def test_equal_logits_are_taken_in_the_order_of_their_index(pair):
  student, _ = pair
  teacher = jnp.zeros_like(student)
  groups = jnp.broadcast_to((jnp.arange(K) >= 5)[None, None], student.shape)
  expected = losses.grouped_kl_loss(
    student, teacher, groups.astype(int), 1.0, (1.0, 8.0)
  )
  for fn in (losses.gdkd_loss, jax.jit(losses.gdkd_loss)):
    np.testing.assert_allclose(fn(student, teacher), expected, rtol=1e-6)


def test_dkd_is_finite_and_learns_where_a_floor_does_not():
  student = jnp.zeros([1, 1, 4]).at[..., 0].set(3.0)
  teacher = jnp.zeros([1, 1, 4]).at[..., 1].set(3.0)

  def grad(**kwargs):
    return jax.grad(
      lambda z: losses.dkd_loss(
        z, teacher, np.array([1]), beta=0.0, temperature=1.0, **kwargs
      )
    )(student)

  # The truth's mass is e^-48: by the exact form its logit must rise.
  np.testing.assert_allclose(grad()[0, 0, 1], -16.0, rtol=1e-3)
  assert abs(grad(mass_floor=1e-12)[0, 0, 1]) < 1e-6
