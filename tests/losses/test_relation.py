"""Relations between the clips of a batch."""

import numpy as np
import pytest

from gaitkd_jax import losses
from tests.helpers import oracles

N, P, D = oracles.EMBEDDING_SHAPE


@pytest.fixture(scope="module")
def pair():
  return oracles.embedding_pair()


def relative_distances(x):
  x = np.float64(x)
  d = np.linalg.norm(x[:, None] - x[None], axis=-1)
  return d / d[d > 0].mean()


def angles(x):
  x = np.float64(x)
  n = len(x)
  out = np.zeros([n, n, n])
  for i in range(n):
    for j in range(n):
      for k in range(n):
        if j != i and k != i:
          out[i, j, k] = oracles.unit(x[j] - x[i]) @ oracles.unit(x[k] - x[i])
  return out


def test_rkd_oracles(pair):
  student, teacher = (np.asarray(x) for x in pair)
  teacher = np.concatenate([teacher, teacher[..., :2] ** 2], axis=-1)
  distance = np.mean(
    [
      oracles.huber(
        relative_distances(student[:, p]) - relative_distances(teacher[:, p])
      ).mean()
      for p in range(P)
    ]
  )
  angle = np.mean(
    [
      oracles.huber(angles(student[:, p]) - angles(teacher[:, p])).mean()
      for p in range(P)
    ]
  )
  np.testing.assert_allclose(
    losses.rkd_distance_loss(student, teacher), distance, rtol=1e-5
  )
  np.testing.assert_allclose(
    losses.rkd_angle_loss(student, teacher), angle, rtol=1e-5
  )
  np.testing.assert_allclose(
    losses.rkd_loss(student, teacher), 25 * distance + 50 * angle, rtol=1e-5
  )
  # A rotated, shrunk and shifted student has the same relations.
  moved = (0.5 * student @ oracles.rotation(D) + 1.0).astype(np.float32)
  assert losses.rkd_loss(moved, student) < 1e-8


def test_similarities_and_kernels(pair):
  student, teacher = (np.asarray(x) for x in pair)
  student_rows, teacher_rows = (
    oracles.unit(np.einsum("ipd,jpd->pij", np.float64(x), np.float64(x)))
    for x in (student, teacher)
  )
  np.testing.assert_allclose(
    losses.similarity_preserving_loss(student, teacher),
    np.mean((student_rows - teacher_rows) ** 2),
    rtol=1e-5,
  )
  moved = (3.0 * student @ oracles.rotation(D)).astype(np.float32)
  assert losses.similarity_preserving_loss(moved, student) < 1e-10

  def kernel(x):
    gap = oracles.unit(x)[:, None] - oracles.unit(x)[None]
    return np.exp(-0.4 * np.sum(gap**2, axis=-1))

  np.testing.assert_allclose(
    losses.correlation_congruence_loss(student, teacher),
    np.mean((kernel(student) - kernel(teacher)) ** 2),
    rtol=1e-5,
  )
  assert losses.correlation_congruence_loss(moved, student) < 1e-10
