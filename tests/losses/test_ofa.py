"""OFA-KD against its definition."""

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


def test_ofa_oracles(pair):
  student, teacher = pair
  log_s = np.log(oracles.softmax(16 * np.asarray(student)))
  p_t = oracles.softmax(16 * np.asarray(teacher))
  expected = -np.mean(np.sum(p_t * log_s, axis=-1))
  np.testing.assert_allclose(
    losses.ofa_loss(student, teacher, LABELS, gamma=1.0), expected, rtol=1e-5
  )
  # A teacher who is sure of the truth.
  sure = jnp.full([N, P, K], -1e3).at[np.arange(N), :, LABELS].set(1e3)
  entropy = losses.cross_entropy_loss(student, LABELS, label_smoothing=0.0)
  for gamma in (1.0, 1.5, 2.0):
    np.testing.assert_allclose(
      losses.ofa_loss(student, sure, LABELS, gamma),
      (2**gamma - 1) * entropy,
      rtol=1e-5,
    )
