"""AdaDistill and its centres."""

import jax
import numpy as np
import pytest

from gaitkd_jax import losses
from tests.helpers import oracles

N, P, D = oracles.EMBEDDING_SHAPE


@pytest.fixture(scope="module")
def pair():
  return oracles.embedding_pair()


@pytest.mark.parametrize("kind, margin", [("arcface", 0.45), ("cosface", 0.35)])
def test_adadistill_by_hand(pair, kind, margin):
  student, teacher = pair
  labels = np.array([0, 0, 1, 1, 1, 3])
  # The last clip lies opposite to its centre, beyond the margin's turn.
  student = student.at[5].set(-teacher[5])
  rng = np.random.default_rng(4)
  centres = rng.normal(size=(5, P, D)).astype(np.float32)
  value, new = jax.jit(
    lambda s, t, c: losses.adadistill_loss(s, t, labels, c, kind=kind)
  )(student, teacher, centres)
  es, et = oracles.unit(student), oracles.unit(teacher)
  expected = np.float64(centres)
  for label in (0, 1, 3):
    centre = np.float64(centres[label])
    moved = []
    for i in np.nonzero(labels == label)[0]:
      near = np.clip(
        np.sum(oracles.unit(centre) * et[i], -1, keepdims=True), 1e-6, 1
      )
      a = np.sum(es[i] * et[i], -1, keepdims=True) * near
      a = np.clip(a, 1e-6, 1)
      moved.append(a * centre + (1 - a) * et[i])
    expected[label] = np.mean(moved, axis=0)
  np.testing.assert_allclose(new, expected, rtol=1e-4, atol=1e-6)
  np.testing.assert_array_equal(new[np.array([2, 4])], centres[[2, 4]])
  c = np.einsum("ipd,kpd->ipk", es, oracles.unit(expected))
  for i, label in enumerate(labels):
    truth = c[i, :, label]
    if kind == "cosface":
      c[i, :, label] = truth - margin
    else:
      angle = np.arccos(np.clip(truth, -1.0, 1.0))
      c[i, :, label] = np.where(
        angle + margin < np.pi,
        np.cos(angle + margin),
        truth - margin * np.sin(margin),
      )
  z = 64 * c
  log_p = z - np.log(np.sum(np.exp(z), axis=-1, keepdims=True))
  of_truth = log_p[np.arange(N), :, labels]
  np.testing.assert_allclose(value, -of_truth.mean(), rtol=1e-4)


def test_adadistill_starts_from_the_first_clip(pair):
  student, teacher = pair
  labels = np.array([4, 1, 0, 2, 3, 5])
  centres = losses.init_centres(7, P, D)
  _, new = losses.adadistill_loss(student, teacher, labels, centres)
  np.testing.assert_allclose(new[labels], oracles.unit(teacher), atol=1e-5)
  assert not new[6].any()
  # A student who agrees with teacher and centre moves nothing.
  _, again = losses.adadistill_loss(teacher, teacher, labels, new)
  np.testing.assert_allclose(again, new, atol=1e-5)
