"""InfoNCE against its definition."""

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


def test_info_nce_oracles(pair):
  student, teacher = pair
  c = oracles.cosines(student, teacher) / 0.2
  same_clip = np.einsum("pii->pi", c)
  expected = np.mean(np.log(np.sum(np.exp(c), axis=-1)) - same_clip)
  value = losses.info_nce_loss(student, teacher, 0.2)
  np.testing.assert_allclose(value, expected, rtol=1e-5)
  # Other clips of the same person are no negatives.
  taken = (LABELS[:, None] != LABELS[None]) | np.eye(N, dtype=bool)
  expected = np.mean(np.log(np.sum(np.exp(c) * taken[None], -1)) - same_clip)
  value = losses.info_nce_loss(student, teacher, 0.2, jnp.asarray(LABELS))
  np.testing.assert_allclose(value, expected, rtol=1e-5)
  # Nothing to tell clips apart: log n. Orthogonal clips: almost 0.
  alike = jnp.ones([N, P, D])
  np.testing.assert_allclose(
    losses.info_nce_loss(alike, alike), np.log(N), rtol=1e-5
  )
  apart = jnp.broadcast_to(jnp.eye(N)[:, None], (N, P, N))
  assert losses.info_nce_loss(apart, 2.0 * apart, 0.05) < 1e-6
