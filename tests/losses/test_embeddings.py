"""Losses on embeddings and maps against their definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import losses

N, P, D = 6, 3, 5
LABELS = np.array([0, 0, 1, 1, 2, 2])


@pytest.fixture(scope="module")
def pair():
  rng = np.random.default_rng(0)
  return tuple(
    jnp.asarray(rng.normal(size=(N, P, D)), jnp.float32) for _ in range(2)
  )


def unit(x, axis=-1):
  x = np.float64(x)
  return x / np.linalg.norm(x, axis=axis, keepdims=True)


def cosines(x, y):
  """`[p, n, m]`."""
  return np.einsum("ipd,jpd->pij", unit(x), unit(y))


def huber(x, delta=1.0):
  x = np.abs(x)
  return np.where(x <= delta, 0.5 * x**2, delta * (x - 0.5 * delta))


def rotation(width):
  return np.linalg.qr(np.random.default_rng(3).normal(size=(width, width)))[0]


def test_cosine_and_unit_mse(pair):
  student, teacher = pair
  expected = np.mean(1 - np.sum(unit(student) * unit(teacher), axis=-1))
  value = losses.embedding_cosine_loss(student, teacher)
  np.testing.assert_allclose(value, expected, rtol=1e-5)
  np.testing.assert_allclose(
    losses.unit_embedding_mse_loss(student, 3.0 * teacher),
    2 / D * value,
    rtol=1e-5,
  )
  assert losses.embedding_cosine_loss(student, 3.0 * student) < 1e-12
  np.testing.assert_allclose(
    losses.embedding_cosine_loss(student, -student), 2.0, rtol=1e-5
  )


def test_attention_of_maps():
  rng = np.random.default_rng(1)
  student = rng.normal(size=(2, 3, 4, 5, 6)).astype(np.float32)
  teacher = rng.normal(size=(2, 3, 4, 5, 7)).astype(np.float32)
  ours, theirs = (
    unit(np.sum(np.abs(np.float64(x)) ** 2, axis=-1).reshape(2, -1))
    for x in (student, teacher)
  )
  value = losses.attention_transfer_loss(student, teacher)
  np.testing.assert_allclose(value, np.mean((ours - theirs) ** 2), rtol=1e-5)
  # It sees neither scale, sign nor order of the channels.
  other = -2.0 * student[..., ::-1]
  assert losses.attention_transfer_loss(student, other) < 1e-12
  ours, theirs = (
    unit(np.sum(np.abs(np.float64(x)) ** 3, axis=-1).reshape(2, -1))
    for x in (student, teacher)
  )
  value = losses.attention_transfer_loss(student, teacher, power=3.0)
  np.testing.assert_allclose(value, np.mean((ours - theirs) ** 2), rtol=1e-5)
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
          out[i, j, k] = unit(x[j] - x[i]) @ unit(x[k] - x[i])
  return out


def test_rkd_oracles(pair):
  student, teacher = (np.asarray(x) for x in pair)
  teacher = np.concatenate([teacher, teacher[..., :2] ** 2], axis=-1)
  distance = np.mean(
    [
      huber(
        relative_distances(student[:, p]) - relative_distances(teacher[:, p])
      ).mean()
      for p in range(P)
    ]
  )
  angle = np.mean(
    [
      huber(angles(student[:, p]) - angles(teacher[:, p])).mean()
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
  moved = (0.5 * student @ rotation(D) + 1.0).astype(np.float32)
  assert losses.rkd_loss(moved, student) < 1e-8


def test_similarities_and_kernels(pair):
  student, teacher = (np.asarray(x) for x in pair)
  ours, theirs = (
    unit(np.einsum("ipd,jpd->pij", np.float64(x), np.float64(x)))
    for x in (student, teacher)
  )
  np.testing.assert_allclose(
    losses.similarity_preserving_loss(student, teacher),
    np.mean((ours - theirs) ** 2),
    rtol=1e-5,
  )
  moved = (3.0 * student @ rotation(D)).astype(np.float32)
  assert losses.similarity_preserving_loss(moved, student) < 1e-10

  def kernel(x):
    gap = unit(x)[:, None] - unit(x)[None]
    return np.exp(-0.4 * np.sum(gap**2, axis=-1))

  np.testing.assert_allclose(
    losses.correlation_congruence_loss(student, teacher),
    np.mean((kernel(student) - kernel(teacher)) ** 2),
    rtol=1e-5,
  )
  assert losses.correlation_congruence_loss(moved, student) < 1e-10


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
      c = cosines(x, x)[p, first, second]
      ordered = np.sort(c[~positive])[::-1]
      now = ordered[[len(ordered) // r for r in rates]]
      expected = 0.99 * before + 0.01 * now
      np.testing.assert_allclose(after[p], expected, rtol=1e-5)
      z = (c[:, None] - expected) / 0.3
      ranks.append(np.sum(1 / (1 + np.exp(-z)), axis=-1))
    gap = (ranks[0] - ranks[1]) ** 2
    positives.extend(gap[positive])
    own = cosines(student, student)[p, first, second]
    hard = np.argsort(-np.where(positive, -9, own))[:hardest]
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
  c = cosines(student, student)
  negative = LABELS[:, None] > LABELS[None]
  for p in range(P):
    # Of twelve negatives a tenth is the second, the rest the first.
    v = np.sort(c[p][negative])[::-1][[1, 0, 0]]
    np.testing.assert_allclose(anchors.student[p], (1 - 0.99**7) * v, rtol=1e-5)
  # Without a negative pair they stay.
  _, same = losses.ekd_loss(student, student, np.zeros(N, int), anchors)
  np.testing.assert_array_equal(same.student, anchors.student)


def test_info_nce_oracles(pair):
  student, teacher = pair
  c = cosines(student, teacher) / 0.2
  own = np.einsum("pii->pi", c)
  expected = np.mean(np.log(np.sum(np.exp(c), axis=-1)) - own)
  value = losses.info_nce_loss(student, teacher, 0.2)
  np.testing.assert_allclose(value, expected, rtol=1e-5)
  # Other clips of the same person are no negatives.
  taken = (LABELS[:, None] != LABELS[None]) | np.eye(N, dtype=bool)
  expected = np.mean(np.log(np.sum(np.exp(c) * taken[None], -1)) - own)
  value = losses.info_nce_loss(student, teacher, 0.2, jnp.asarray(LABELS))
  np.testing.assert_allclose(value, expected, rtol=1e-5)
  # Nothing to tell clips apart: log n. Orthogonal clips: almost 0.
  alike = jnp.ones([N, P, D])
  np.testing.assert_allclose(
    losses.info_nce_loss(alike, alike), np.log(N), rtol=1e-5
  )
  apart = jnp.broadcast_to(jnp.eye(N)[:, None], (N, P, N))
  assert losses.info_nce_loss(apart, 2.0 * apart, 0.05) < 1e-6


def test_instance_loss_mines(pair):
  student, teacher = pair
  distance = 1 - np.sum(unit(student) * unit(teacher), axis=-1)
  state = losses.init_threshold()
  fn = jax.jit(losses.instance_loss)
  # With everything hard it is the plain mean.
  value, _ = fn(student, teacher, state, 1.0)
  np.testing.assert_allclose(value, distance.mean(), rtol=1e-5)
  value, state = fn(student, teacher, state, 0.3)
  threshold = np.quantile(distance, 0.7)
  np.testing.assert_allclose(state.value, threshold, rtol=1e-5)
  weight = np.where(distance >= threshold, 1.0, 0.1)
  assert 0 < np.sum(weight == 1) < weight.size
  np.testing.assert_allclose(
    value, np.sum(weight * distance) / weight.sum(), rtol=1e-5
  )
  # The threshold remembers: later batches move it by a hundredth.
  _, state = fn(student, student, state, 0.3)
  np.testing.assert_allclose(state.value, 0.99 * threshold, rtol=1e-5)
  assert state.steps == 2
  value, _ = fn(student, 3.0 * student, state, 0.3)
  assert value < 1e-12


def test_hard_share_falls_over_the_first_half():
  shares = [float(losses.hard_share(x)) for x in (0.0, 0.25, 0.5, 1.0)]
  np.testing.assert_allclose(shares, [1.0, 0.65, 0.3, 0.3], rtol=1e-6)


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
  es, et = unit(student), unit(teacher)
  expected = np.float64(centres)
  for label in (0, 1, 3):
    own = np.float64(centres[label])
    moved = []
    for i in np.nonzero(labels == label)[0]:
      near = np.clip(np.sum(unit(own) * et[i], -1, keepdims=True), 1e-6, 1)
      a = np.sum(es[i] * et[i], -1, keepdims=True) * near
      a = np.clip(a, 1e-6, 1)
      moved.append(a * own + (1 - a) * et[i])
    expected[label] = np.mean(moved, axis=0)
  np.testing.assert_allclose(new, expected, rtol=1e-4, atol=1e-6)
  np.testing.assert_array_equal(new[np.array([2, 4])], centres[[2, 4]])
  c = np.einsum("ipd,kpd->ipk", es, unit(expected))
  for i, label in enumerate(labels):
    own = c[i, :, label]
    if kind == "cosface":
      c[i, :, label] = own - margin
    else:
      angle = np.arccos(np.clip(own, -1.0, 1.0))
      c[i, :, label] = np.where(
        angle + margin < np.pi,
        np.cos(angle + margin),
        own - margin * np.sin(margin),
      )
  z = 64 * c
  log_p = z - np.log(np.sum(np.exp(z), axis=-1, keepdims=True))
  truth = log_p[np.arange(N), :, labels]
  np.testing.assert_allclose(value, -truth.mean(), rtol=1e-4)


def test_adadistill_starts_from_the_first_clip(pair):
  student, teacher = pair
  labels = np.array([4, 1, 0, 2, 3, 5])
  centres = losses.init_centres(7, P, D)
  _, new = losses.adadistill_loss(student, teacher, labels, centres)
  np.testing.assert_allclose(new[labels], unit(teacher), atol=1e-5)
  assert not new[6].any()
  # A student who agrees with teacher and centre moves nothing.
  _, again = losses.adadistill_loss(teacher, teacher, labels, new)
  np.testing.assert_allclose(again, new, atol=1e-5)
