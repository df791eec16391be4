"""Where a network looks."""

import numpy as np
import pytest

from gaitkd_jax import losses
from tests.helpers import oracles


def test_attention_of_maps():
  rng = np.random.default_rng(1)
  student = rng.normal(size=(2, 3, 4, 5, 6)).astype(np.float32)
  teacher = rng.normal(size=(2, 3, 4, 5, 7)).astype(np.float32)
  attention, target = (
    oracles.unit(np.sum(np.abs(np.float64(x)) ** 2, axis=-1).reshape(2, -1))
    for x in (student, teacher)
  )
  value = losses.attention_transfer_loss(student, teacher)
  np.testing.assert_allclose(
    value, np.mean((attention - target) ** 2), rtol=1e-5
  )
  # It sees neither scale, sign nor order of the channels.
  other = -2.0 * student[..., ::-1]
  assert losses.attention_transfer_loss(student, other) < 1e-12
  attention, target = (
    oracles.unit(np.sum(np.abs(np.float64(x)) ** 3, axis=-1).reshape(2, -1))
    for x in (student, teacher)
  )
  value = losses.attention_transfer_loss(student, teacher, power=3.0)
  np.testing.assert_allclose(
    value, np.mean((attention - target) ** 2), rtol=1e-5
  )
  with pytest.raises(ValueError, match="same places"):
    losses.attention_transfer_loss(student, teacher[:, :, :3])


def test_channel_wise_oracles():
  rng = np.random.default_rng(1)
  student, teacher = rng.normal(size=(2, 2, 3, 4, 5, 6)).astype(np.float32)

  def softmax(x):
    x = np.exp(np.float64(x) / 4.0)
    return x / x.sum(axis=(2, 3), keepdims=True)

  p_s, p_t = softmax(student), softmax(teacher)
  divergence = np.sum(p_t * np.log(p_t / p_s), axis=(2, 3))
  value = losses.channel_wise_loss(student, teacher)
  np.testing.assert_allclose(value, 16 * divergence.mean(), rtol=1e-5)
  # A channel's level in a frame does not matter.
  moved = student + rng.normal(size=(2, 3, 1, 1, 6)).astype(np.float32)
  assert abs(losses.channel_wise_loss(student, moved)) < 1e-5
