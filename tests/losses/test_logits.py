"""Losses on logits against their definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import losses
from tests.parity import vectors

N, P, K = 5, 4, 12
LABELS = np.array([3, 0, 3, 7, 11])


@pytest.fixture(scope="module")
def pair():
  rng = np.random.default_rng(0)
  return tuple(
    jnp.asarray(rng.uniform(-1, 1, (N, P, K)), jnp.float32) for _ in range(2)
  )


def softmax(x):
  x = np.exp(np.float64(x) - np.max(x, axis=-1, keepdims=True))
  return x / x.sum(axis=-1, keepdims=True)


def same_function(ours, theirs, student, rtol=1e-5):
  """Equal in value and in gradient with respect to the student."""
  value, grad = jax.jit(jax.value_and_grad(ours))(student)
  expected, expected_grad = jax.jit(jax.value_and_grad(theirs))(student)
  np.testing.assert_allclose(value, expected, rtol=rtol)
  assert vectors.difference(grad, expected_grad) < rtol


def masses(teacher, groups, count, temperature=4.0, scale=16.0):
  p_t = softmax(scale / temperature * np.asarray(teacher))
  return [
    jnp.asarray((p_t * (groups == g)).sum(-1), jnp.float32)
    for g in range(count)
  ]


def test_plain_kd_oracles(pair):
  student, teacher = pair
  p_s, p_t = (softmax(np.asarray(x) / 4.0) for x in pair)
  value, grad = jax.value_and_grad(losses.kd_loss)(student, teacher)
  expected = 16 * np.mean(np.sum(p_t * np.log(p_t / p_s), axis=-1))
  np.testing.assert_allclose(value, expected, rtol=1e-5)
  assert vectors.difference(grad, 4 * (p_s - p_t) / (N * P)) < 1e-5
  assert abs(losses.kd_loss(student, student + 0.5)) < 1e-6
  # At the scale of the cross entropy it is GaitKD's.
  np.testing.assert_allclose(
    losses.kd_loss(student, teacher, 2.0, 16.0),
    losses.decision_loss(student, teacher, 2.0),
    rtol=1e-6,
  )


@pytest.mark.parametrize("loss", [losses.ka_ps_loss, losses.ka_lsr_loss])
def test_a_teacher_who_is_right_is_left_alone(pair, loss):
  student, teacher = pair
  right = teacher.at[np.arange(N), :, LABELS].set(1.5)
  np.testing.assert_allclose(
    loss(student, right, LABELS),
    losses.decision_loss(student, right),
    rtol=1e-6,
  )
  assert abs(loss(student, teacher, LABELS) - losses.decision_loss(*pair)) > 0.1


@pytest.mark.parametrize("count", [1, 2, 3])
def test_grouped_kl_with_the_teachers_masses_is_the_divergence(pair, count):
  student, teacher = pair
  rng = np.random.default_rng(1)
  groups = rng.integers(0, count, (N, P, K))
  groups[0, 0] = 0  # the others are empty
  weights = masses(teacher, groups, count)
  same_function(
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
    value("reverse", masses(student, groups, 2)),
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
  beta = masses(teacher, groups, 2)[1]
  same_function(
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
  top, rest = masses(teacher, groups, 2)
  if three:
    top = masses(teacher, groups + (rank >= 1), 3)[1]
  same_function(
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
  primary, secondary = masses(teacher, (rank >= 3) & ~truth, 2)
  same_function(
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


def test_ofa_oracles(pair):
  student, teacher = pair
  log_s = np.log(softmax(16 * np.asarray(student)))
  p_t = softmax(16 * np.asarray(teacher))
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


def test_dist_oracles(pair):
  student, teacher = pair
  p_s, p_t = (softmax(4 * np.asarray(x)) for x in pair)

  def mean_correlation(axis):
    left, right = (
      np.moveaxis(p, axis, -1).reshape(-1, p.shape[axis]) for p in (p_s, p_t)
    )
    return np.mean(
      [np.corrcoef(a, b)[0, 1] for a, b in zip(left, right, strict=True)]
    )

  expected = 16 * (
    2 * (1 - mean_correlation(-1)) + 3 * (1 - mean_correlation(0))
  )
  value = losses.dist_loss(student, teacher, 2.0, 3.0)
  np.testing.assert_allclose(value, expected, rtol=1e-5)
  assert abs(losses.dist_loss(student, student + 0.5)) < 1e-4
  # Probabilities whose squares underflow correlate all the same.
  low = student.at[..., 0].add(-2.0)
  assert abs(losses.dist_loss(low, low, temperature=1.0)) < 1e-4


def test_logit_standardisation(pair):
  student, teacher = pair
  out = np.asarray(losses.logit_standardisation(student))
  np.testing.assert_allclose(out.mean(-1), 0.0, atol=1e-6)
  np.testing.assert_allclose(out.std(-1), 1.0, rtol=1e-5)
  # The student's own range and offset are free.
  moved = 3.0 * teacher - 2.0
  value = losses.decision_loss(
    *map(losses.logit_standardisation, (moved, teacher)), 2.0, 1.0
  )
  assert abs(value) < 1e-6
  value = losses.decision_loss(
    *map(losses.logit_standardisation, (student, teacher)), 2.0, 1.0
  )
  assert value > 0.1


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
    largest = softmax(16 * np.asarray(teacher)).max(-1)
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


@pytest.mark.parametrize("channels", [(), (2,)])
def test_swap_bands(channels):
  rng = np.random.default_rng(0)
  x = rng.integers(0, 255, (4, 3, 8, 5, *channels)).astype(np.uint8)
  partners = np.array([1, 0, 3, 2])
  swapped = np.array([[1, 0, 0, 1], [1, 0, 0, 1], [0, 1, 0, 0], [0, 1, 0, 0]])
  out = losses.swap_bands(
    jnp.asarray(x), jnp.asarray(partners), jnp.asarray(swapped, bool)
  )
  assert out.dtype == jnp.uint8
  for i in range(4):
    for band in range(4):
      rows = slice(2 * band, 2 * band + 2)
      source = partners[i] if swapped[i, band] else i
      np.testing.assert_array_equal(out[i, :, rows], x[source, :, rows])
  again = losses.swap_bands(
    out, jnp.asarray(partners), jnp.asarray(swapped, bool)
  )
  np.testing.assert_array_equal(again, x)
  with pytest.raises(ValueError, match="no 3 bands"):
    losses.swap_bands(jnp.asarray(x), partners, jnp.zeros([4, 3], bool))
  with pytest.raises(ValueError, match="do not fit"):
    losses.swap_bands(jnp.asarray(x), partners[:2], jnp.zeros([4, 4], bool))


def test_patch_swap_loss(pair):
  first, second = pair
  expected = (
    sum(losses.cross_entropy_loss(z, LABELS) for z in pair)
    + losses.decision_loss(first, second)
    + losses.decision_loss(second, first)
  )
  value = losses.patch_swap_loss(first, second, LABELS)
  np.testing.assert_allclose(value, expected, rtol=1e-6)
  np.testing.assert_allclose(
    losses.patch_swap_loss(second, first, LABELS), value, rtol=1e-6
  )
  # Clips that agree have nothing to learn from each other.
  np.testing.assert_allclose(
    losses.patch_swap_loss(first, first, LABELS),
    2 * losses.cross_entropy_loss(first, LABELS),
    rtol=1e-6,
  )
  # Both learn.
  grads = jax.grad(losses.patch_swap_loss, (0, 1))(first, second, LABELS)
  assert all(np.abs(g).max() > 1e-3 for g in grads)
