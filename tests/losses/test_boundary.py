"""GaitKD's boundary level."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import losses
from gaitkd_jax.models import heads
from tests.parity import vectors


def test_boundary_oracles():
  keys = jax.random.split(jax.random.key(1), 2)
  student = jax.random.normal(keys[0], (5, 4, 7))
  teacher = jax.random.normal(keys[1], (5, 4, 7)).at[0, 0, 0].set(0.0)
  side = jnp.where(teacher > 0, 1.0, -1.0)
  value, grad = jax.value_and_grad(losses.boundary_loss)(student, teacher)
  np.testing.assert_allclose(
    value, losses.boundary_loss(student, 3 * teacher), rtol=1e-6
  )
  assert losses.boundary_loss(1.01 * side, teacher) == 0
  expected = -2 * side * jnp.maximum(1 - side * student, 0) / 20
  assert vectors.difference(grad, expected) < 1e-6
  assert not jax.grad(losses.boundary_loss, 1)(student, teacher).any()


def test_every_strip_that_overlaps_is_compared():
  rng = np.random.default_rng(0)
  student = jnp.asarray(rng.normal(size=(5, 4, 7)), jnp.float32)
  teacher = jnp.asarray(rng.normal(size=(5, 3, 7)), jnp.float32)
  overlap = losses.overlap_matrix(4, 3)
  value = losses.boundary_loss(student, teacher, 0.5, overlap=overlap)
  expected = sum(
    overlap[i, j]
    * losses.boundary_loss(student[:, i : i + 1], teacher[:, j : j + 1], 0.5)
    for i, j in np.argwhere(overlap)
  )
  np.testing.assert_allclose(value, expected / 4, rtol=1e-5)
  with pytest.raises(ValueError, match=r"\(4, 2\).*\(5, 3, 7\)"):
    losses.boundary_loss(student, teacher, overlap=overlap[:, :2])
  with pytest.raises(ValueError, match="mixed to 2 parts"):
    losses.boundary_loss(student, teacher, overlap=overlap[:2])


# Of the channels of an embedding: shifts, and positive scales.
CHANGES = {
  "shift": (1.0, -30.0),
  "scale": (0.5, 0.0),
  "both": (40.0, -700.0),
}


def embeddings(seed, parts=4):
  """[6, parts, 8] of a student and of a teacher, off centre like real ones."""
  rng = np.random.default_rng(seed)
  student, teacher = rng.normal(size=(2, 6, parts, 8)).astype("f")
  return student + 2.0, teacher + 7.0


def behind_neck(embedding, mean, variance):
  """The feature behind a neck with these running statistics."""
  n, p, d = embedding.shape
  neck = heads.Neck(5)
  variables = neck.init(jax.random.key(0), embedding, train=False)
  variables["batch_stats"]["bn"] = dict(mean=mean, var=variance)
  beta = np.random.default_rng(9).normal(size=p * d).astype("f")
  variables["params"]["bn"]["bias"] = jnp.asarray(0.3 * beta)
  return neck.apply(variables, embedding, train=False)[0]


def statistics(x):
  flat = x.reshape(len(x), -1)
  return flat.mean(0), flat.var(0)


@pytest.mark.parametrize("change", CHANGES)
def test_centred_a_channel_may_be_shifted_and_scaled(change):
  student, teacher = embeddings(0)
  scale, shift = CHANGES[change]
  scale, shift = np.full(8, scale, "f"), np.full(8, shift, "f")
  scale[3], shift[5] = 1.0, 0.0  # each channel by itself
  moved = scale * teacher + shift
  one = behind_neck(teacher, *statistics(teacher))
  other = behind_neck(moved, *statistics(moved))
  loss = lambda s, t: losses.boundary_loss(s, t, centre="neck")  # noqa: E731
  np.testing.assert_allclose(
    loss(student, other), loss(student, one), rtol=1e-6
  )
  changed = scale * student + shift
  np.testing.assert_allclose(loss(changed, one), loss(student, one), rtol=1e-3)
  # As published it is not so, but for a scale of the teacher.
  raw = losses.boundary_loss
  assert abs(raw(changed, teacher) - raw(student, teacher)) > 0.1
  of_moved = raw(student, moved) - raw(student, teacher)
  assert abs(of_moved) > 1 if change != "scale" else of_moved == 0


def test_centred_is_the_published_loss_of_standardised_channels():
  student, teacher = embeddings(1)
  feature = behind_neck(teacher, *statistics(teacher))
  mean, variance = (x.reshape(4, 8) for x in statistics(student))
  standard = (student - mean) / np.sqrt(variance + 1e-5)
  np.testing.assert_allclose(
    losses.boundary_loss(student, feature, 0.5, centre="neck"),
    losses.boundary_loss(standard, feature, 0.5),
    rtol=1e-5,
  )
  # Each channel of the gradient sums to 0: the batch's mean cannot be moved.
  grad = jax.grad(losses.boundary_loss)(student, feature, centre="neck")
  assert abs(grad).max() > 1e-3 and abs(grad.sum(0)).max() < 1e-6
  overlap = losses.overlap_matrix(4, 3)
  np.testing.assert_allclose(
    losses.boundary_loss(student, feature[:, :3], 1.0, overlap, "neck"),
    losses.boundary_loss(standard, feature[:, :3], 1.0, overlap),
    rtol=1e-5,
  )


@pytest.mark.parametrize("centre", losses.CENTRES)
def test_the_mean_does_not_change_with_the_width(centre):
  student, teacher = embeddings(2)
  teacher -= 7.0
  mean = losses.boundary_loss(student, teacher, centre=centre, reduce="mean")
  np.testing.assert_allclose(
    8 * mean, losses.boundary_loss(student, teacher, centre=centre), rtol=1e-5
  )
  wide = [np.concatenate([x, x, x], axis=-1) for x in (student, teacher)]
  np.testing.assert_allclose(
    losses.boundary_loss(*wide, centre=centre, reduce="mean"), mean, rtol=1e-5
  )
  ensemble = lambda **kwargs: losses.boundary_ensemble_loss(  # noqa: E731
    student, [teacher, teacher], [1, 0], centre=centre, reduce="mean", **kwargs
  )
  for mode in ("sum", "vote", "agree"):
    np.testing.assert_allclose(ensemble(mode=mode), mean, rtol=1e-5)


def test_unknown_options_are_refused():
  student, teacher = embeddings(3)
  with pytest.raises(ValueError, match="centre is none or neck, not 'mean'"):
    losses.boundary_loss(student, teacher, centre="mean")
  with pytest.raises(ValueError, match="reduce is sum or mean, not 'none'"):
    losses.boundary_loss(student, teacher, reduce="none")


def test_bits_and_agreement():
  share = np.array([0, 2, 4, 8])  # of 8 clips
  teacher = np.where(np.arange(8)[:, None] < share, 1.0, -1.0)[:, None]
  entropy = -(0.25 * np.log2(0.25) + 0.75 * np.log2(0.75))
  np.testing.assert_allclose(
    losses.boundary_bits(teacher, teacher), (0 + entropy + 1 + 0) / 4, rtol=1e-6
  )
  student = np.ones((8, 1, 4))
  assert losses.boundary_agreement(student, teacher) == share.mean() / 8
  # Centred, a constant channel lies on the negative side.
  agreed = losses.boundary_agreement(student, teacher, centre="neck")
  assert agreed == 1 - share.mean() / 8
  assert losses.boundary_agreement(2 + teacher, teacher, centre="neck") == (
    (1 + 1 + 1 + 0) / 4
  )
