"""EKD against its definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import losses
from tests.helpers import oracles

N, P, D = oracles.EMBEDDING_SHAPE
LABELS = oracles.EMBEDDING_LABELS


@pytest.fixture(scope="module")
def pair():
  return oracles.embedding_pair()


def test_ekd_by_hand(pair):
  student, teacher = (np.asarray(x) for x in pair)
  rates, hardest = (2, 5), 4
  start = losses.Anchors(
    student=jnp.full([P, 2], 0.5), teacher=jnp.full([P, 2], 0.25)
  )
  value, anchors = jax.jit(
    lambda s, t, a: losses.ekd_loss(
      s, t, LABELS, a, rates=rates, hardest=hardest, softness=0.3
    )
  )(student, teacher, start)
  first, second = np.triu_indices(N, 1)
  positive = LABELS[first] == LABELS[second]
  positives, negatives = [], []
  for p in range(P):
    ranks = []
    for x, before, after in (
      (student, 0.5, anchors.student),
      (teacher, 0.25, anchors.teacher),
    ):
      c = oracles.cosines(x, x)[p, first, second]
      ordered = np.sort(c[~positive])[::-1]
      now = ordered[[len(ordered) // r for r in rates]]
      expected = 0.99 * before + 0.01 * now
      np.testing.assert_allclose(after[p], expected, rtol=1e-5)
      z = (c[:, None] - expected) / 0.3
      ranks.append(np.sum(1 / (1 + np.exp(-z)), axis=-1))
    gap = (ranks[0] - ranks[1]) ** 2
    positives.extend(gap[positive])
    similar = oracles.cosines(student, student)[p, first, second]
    hard = np.argsort(-np.where(positive, -9, similar))[:hardest]
    negatives.extend(gap[hard])
  expected = 0.02 * np.mean(positives) + 0.01 * np.mean(negatives)
  np.testing.assert_allclose(value, expected, rtol=1e-4)


def test_ekd_anchors_follow(pair):
  student, _ = pair
  anchors = losses.init_anchors(P)
  step = jax.jit(lambda a: losses.ekd_loss(student, student, LABELS, a))
  for _ in range(7):
    value, anchors = step(anchors)
    # Equal similarities at equal anchors have equal ranks.
    assert value == 0
  c = oracles.cosines(student, student)
  negative = LABELS[:, None] > LABELS[None]
  for p in range(P):
    # Of twelve negatives a tenth is the second, the rest the first.
    v = np.sort(c[p][negative])[::-1][[1, 0, 0]]
    np.testing.assert_allclose(anchors.student[p], (1 - 0.99**7) * v, rtol=1e-5)
  # Without a negative pair they stay.
  _, same = losses.ekd_loss(student, student, np.zeros(N, int), anchors)
  np.testing.assert_array_equal(same.student, anchors.student)
