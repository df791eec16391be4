"""Consistency of a weak and a strong copy."""

import numpy as np
import pytest

from gaitkd_jax import losses
from tests.helpers import oracles


@pytest.fixture(scope="module")
def pair():
  return oracles.logit_pair()


def test_cross_view_terms(pair):
  s_w, t_w = pair
  s_s, t_s = s_w[::-1] * 0.5, t_w[:, ::-1]
  kd = losses.decision_loss
  within = kd(s_w, t_w) + kd(s_s, t_s)
  cross = kd(s_s, t_w) + kd(s_w, t_s)

  def value(**kwargs):
    return losses.cross_view_loss(s_w, t_w, s_s, t_s, **kwargs)

  sure = dict(weak_confidence=0.0, strong_confidence=0.0)
  np.testing.assert_allclose(value(**sure), within + 2 * cross, rtol=1e-5)
  unsure = dict(weak_confidence=1.1, strong_confidence=1.1)
  assert value(**unsure) == 0
  np.testing.assert_allclose(
    value(weak_confidence=0.0, strong_confidence=1.1), within, rtol=1e-5
  )
  np.testing.assert_allclose(
    value(weak_confidence=1.1, strong_confidence=0.0), 2 * cross, rtol=1e-5
  )
  # Every row is judged by itself; the others are part of the mean.
  for teacher, name, other, factor, terms in (
    (t_w, "weak_confidence", "strong_confidence", 1, ((s_w, t_w), (s_s, t_s))),
    (t_s, "strong_confidence", "weak_confidence", 2, ((s_s, t_w), (s_w, t_s))),
  ):
    largest = oracles.softmax(16 * np.asarray(teacher)).max(-1)
    limit = float(np.median(largest)) - 1e-6
    sure = largest >= limit
    assert 0 < sure.sum() < sure.size
    expected = sum(
      kd(s[i : i + 1, j : j + 1], t[i : i + 1, j : j + 1])
      for i, j in np.argwhere(sure)
      for s, t in terms
    )
    np.testing.assert_allclose(
      value(**{name: limit, other: 1.1}),
      factor * expected / sure.size,
      rtol=1e-5,
    )
