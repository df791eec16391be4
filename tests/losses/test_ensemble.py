"""Several teachers, and parts that do not match."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import losses
from tests.parity import vectors

N, P, K, D = 4, 3, 6, 5


def arrays(*shape, seed=0):
  rng = np.random.default_rng(seed)
  return jnp.asarray(rng.uniform(-1, 1, shape), jnp.float32)


@pytest.fixture(scope="module")
def logits():
  return arrays(N, P, K), [arrays(N, P, K, seed=i) for i in (1, 2, 3)]


@pytest.fixture(scope="module")
def embeddings():
  return arrays(N, P, D), [arrays(N, P, D, seed=i) for i in (1, 2, 3)]


def value_and_grad(fn, x):
  return jax.jit(jax.value_and_grad(fn))(x)


def test_sum_adds_teachers(logits):
  student, teachers = logits
  weights, temperatures = [0.5, 0.0, 2.0], [1.0, 2.0, 4.0]
  value, grad = value_and_grad(
    lambda z: losses.decision_ensemble_loss(z, teachers, weights, temperatures),
    student,
  )
  expected, expected_grad = value_and_grad(
    lambda z: sum(
      w * losses.decision_loss(z, t, temperature)
      for w, t, temperature in zip(weights, teachers, temperatures, strict=True)
    ),
    student,
  )
  np.testing.assert_allclose(value, expected, rtol=1e-5)
  assert vectors.difference(grad, expected_grad) < 1e-5


def test_mean_is_the_divergence_from_the_ensemble(logits):
  student, teachers = logits
  weights = [0.2, 0.3, 0.5]

  def mean(z, weights=weights):
    return losses.decision_ensemble_loss(z, teachers, weights, reduce="mean")

  value, grad = value_and_grad(mean, student)
  added, added_grad = value_and_grad(
    lambda z: losses.decision_ensemble_loss(z, teachers, weights), student
  )
  # The gap is the teachers' disagreement, which the student cannot change.
  p = [np.float64(jax.nn.softmax(4 * t)) for t in teachers]
  together = sum(w * x for w, x in zip(weights, p, strict=True))
  gap = sum(
    w * np.sum(x * np.log(x / together), axis=-1).mean()
    for w, x in zip(weights, p, strict=True)
  )
  np.testing.assert_allclose(added - value, 16 * gap, rtol=1e-4)
  assert vectors.difference(grad, added_grad) < 1e-5
  p_s = np.float64(jax.nn.softmax(4 * student))
  expected = 16 * np.sum(together * np.log(together / p_s), axis=-1).mean()
  np.testing.assert_allclose(value, expected, rtol=1e-5)
  # Only the weights' proportions matter; of zeros nothing is left.
  np.testing.assert_allclose(mean(student, [2, 3, 5]), value, rtol=1e-5)
  assert mean(student, [0.0, 0.0, 0.0]) == 0


def test_copies_of_one_teacher(logits):
  student, teachers = logits
  for temperatures in (2.0, [2.0] * 3):
    ensemble = {
      reduce: value_and_grad(
        lambda z, reduce=reduce, temperatures=temperatures: (
          losses.decision_ensemble_loss(
            z, teachers[:1] * 3, temperatures=temperatures, reduce=reduce
          )
        ),
        student,
      )
      for reduce in ("sum", "mean")
    }
    one = value_and_grad(
      lambda z: losses.decision_loss(z, teachers[0], 2.0), student
    )
    for times, reduce in ((3, "sum"), (1, "mean")):
      for found, single in zip(ensemble[reduce], one, strict=True):
        assert vectors.difference(found, times * single) < 1e-5


def test_mean_of_unequal_temperatures(logits):
  student, teachers = logits
  value = losses.decision_ensemble_loss(
    student, teachers[:2], [1.0, 3.0], [1.0, 5.0], reduce="mean"
  )
  p = 0.25 * jax.nn.softmax(16 * teachers[0])
  p += 0.75 * jax.nn.softmax(16 / 5 * teachers[1])
  log_s = jax.nn.log_softmax(4 * student)
  expected = 16 * jnp.mean(jnp.sum(p * (jnp.log(p) - log_s), axis=-1))
  np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_decisions_of_other_strips(reduce):
  student, teacher = arrays(N, 16, K), arrays(N, 15, K, seed=1)
  matrix = losses.overlap_matrix(16, 15)
  p_t = losses.mix_parts(jax.nn.softmax(4 * teacher), matrix)
  log_s = jax.nn.log_softmax(4 * student)
  expected = 16 * jnp.mean(jnp.sum(p_t * (jnp.log(p_t) - log_s), axis=-1))
  value = losses.decision_ensemble_loss(
    student, [teacher], overlaps=[matrix], reduce=reduce
  )
  np.testing.assert_allclose(value, expected, rtol=1e-5)
  # Equal strips overlap with themselves only; without overlaps the first count.
  same = losses.decision_ensemble_loss(
    student[:, :15],
    [teacher],
    overlaps=[losses.overlap_matrix(15, 15)],
    reduce=reduce,
  )
  for value in (
    same,
    losses.decision_ensemble_loss(student, [teacher], reduce=reduce),
  ):
    np.testing.assert_allclose(
      value, losses.decision_loss(student, teacher), rtol=1e-5
    )


def test_mean_uses_the_parts_of_all(logits):
  student, teachers = logits
  value = losses.decision_ensemble_loss(
    student, [teachers[0], teachers[1][:, :2]], reduce="mean"
  )
  expected = losses.decision_ensemble_loss(
    student[:, :2], [t[:, :2] for t in teachers[:2]], reduce="mean"
  )
  np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_common_classes(logits):
  student, _ = logits
  teacher = arrays(N, P, 9, seed=4)
  of_student, of_teacher = np.array([5, 0, 2]), np.array([1, 8, 3])
  expected, expected_grad = value_and_grad(
    lambda z: losses.decision_loss(
      z[..., of_student], teacher[..., of_teacher]
    ),
    student,
  )
  for reduce in ("sum", "mean"):
    value, grad = value_and_grad(
      lambda z, reduce=reduce: losses.decision_ensemble_loss(
        z, [teacher], classes=[(of_student, of_teacher)], reduce=reduce
      ),
      student,
    )
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert vectors.difference(grad, expected_grad) < 1e-5
    # The student's other classes are left alone.
    assert not grad[..., np.array([1, 3, 4])].any()
  # Equal subsets have the ensemble's gradient.
  other = arrays(N, P, 9, seed=5)
  _, grad = value_and_grad(
    lambda z: losses.decision_ensemble_loss(
      z, [teacher, other], classes=[(of_student, of_teacher)] * 2, reduce="mean"
    ),
    student,
  )
  _, expected = value_and_grad(
    lambda z: losses.decision_ensemble_loss(
      z[..., of_student],
      [teacher[..., of_teacher], other[..., of_teacher]],
      reduce="mean",
    ),
    student,
  )
  assert vectors.difference(grad, expected) < 1e-5
  with pytest.raises(ValueError, match="0 and 0 common classes"):
    losses.decision_ensemble_loss(student, [teacher], classes=[([], [])])


def test_boundaries_add(embeddings):
  student, teachers = embeddings
  value, grad = value_and_grad(
    lambda x: losses.boundary_ensemble_loss(
      x, teachers, [1.0, 0.5, 0.0], margin=0.5
    ),
    student,
  )
  expected, expected_grad = value_and_grad(
    lambda x: (
      losses.boundary_loss(x, teachers[0], 0.5)
      + 0.5 * losses.boundary_loss(x, teachers[1], 0.5)
    ),
    student,
  )
  np.testing.assert_allclose(value, expected, rtol=1e-5)
  assert vectors.difference(grad, expected_grad) < 1e-5


def test_boundary_vote(embeddings):
  student, teachers = embeddings
  weights = [0.2, 0.3, 0.4]
  signs = [np.where(np.asarray(t) > 0, 1.0, -1.0) for t in teachers]
  vote = sum(w * s for w, s in zip(weights, signs, strict=True))
  value = losses.boundary_ensemble_loss(student, teachers, weights, "vote")
  np.testing.assert_allclose(
    value, losses.boundary_loss(student, jnp.asarray(vote)), rtol=1e-6
  )
  # It is no sum: the teachers disagree somewhere.
  assert abs(value - losses.boundary_ensemble_loss(student, teachers)) > 0.1
  one = losses.boundary_loss(student, teachers[0])
  for mode in ("vote", "agree"):
    np.testing.assert_allclose(
      losses.boundary_ensemble_loss(student, teachers[:1] * 3, mode=mode),
      one,
      rtol=1e-6,
    )


def test_a_tie_falls_to_the_negative_side():
  student = jnp.full([1, 1, 1], 0.25)
  teachers = [jnp.full([1, 1, 1], x) for x in (1.0, 1.0, -1.0)]
  # In float32 .1 + .6 exceeds .7 by a rounding.
  value = losses.boundary_ensemble_loss(
    student, teachers, [0.1, 0.6, 0.7], "vote"
  )
  np.testing.assert_allclose(value, 1.25**2, rtol=1e-6)
  # Zero is negative.
  value = losses.boundary_ensemble_loss(
    student, [jnp.zeros([1, 1, 1])], mode="vote"
  )
  np.testing.assert_allclose(value, 1.25**2, rtol=1e-6)


def test_boundary_agree(embeddings):
  student, teachers = embeddings
  signs = np.stack([np.asarray(t) > 0 for t in teachers])
  agree = (signs == signs[0]).all(axis=0)
  assert 0 < agree.sum() < agree.size
  side = np.where(signs[0], 1.0, -1.0)
  short = np.maximum(1 - side * np.asarray(student), 0) ** 2
  value = losses.boundary_ensemble_loss(student, teachers, mode="agree")
  np.testing.assert_allclose(
    value, np.sum(short * agree, axis=-1).mean(), rtol=1e-5
  )
  # A teacher of weight 0 is not asked.
  np.testing.assert_allclose(
    losses.boundary_ensemble_loss(student, teachers, [1, 0, 0], "agree"),
    losses.boundary_loss(student, teachers[0]),
    rtol=1e-6,
  )
  for mode in ("sum", "vote", "agree"):
    assert (
      losses.boundary_ensemble_loss(student, teachers, [0, 0, 0], mode) == 0
    )


def test_boundaries_of_other_strips():
  student, teacher = arrays(N, 16, D), arrays(N, 15, D, seed=1)
  matrix = losses.overlap_matrix(16, 15)
  value = losses.boundary_ensemble_loss(student, [teacher], overlaps=[matrix])
  expected = 0.0
  for i in range(16):
    for j in range(15):
      if matrix[i, j]:
        expected += matrix[i, j] * losses.boundary_loss(
          student[:, i : i + 1], teacher[:, j : j + 1]
        )
  np.testing.assert_allclose(value, expected / 16, rtol=1e-5)
  # Never the sign of a mean: a strong strip does not outvote two weak ones.
  sources = jnp.array([-9.0, 1.0, 1.0]).reshape(1, 3, 1)
  value = losses.boundary_ensemble_loss(
    jnp.full([1, 1, 1], 0.5),
    [sources],
    mode="vote",
    overlaps=[losses.overlap_matrix(1, 3)],
  )
  np.testing.assert_allclose(value, 0.25, rtol=1e-6)
  same = losses.boundary_ensemble_loss(
    student[:, :15], [teacher], overlaps=[losses.overlap_matrix(15, 15)]
  )
  np.testing.assert_allclose(
    same, losses.boundary_loss(student, teacher), rtol=1e-6
  )


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("mode", ["sum", "mean", "vote"])
def test_each_teacher_reaches_the_student(logits, embeddings, index, mode):
  """The reference's code for several teachers passes no gradient at all."""
  if mode == "vote":
    student, teachers = embeddings
    fn = losses.boundary_ensemble_loss
    kwargs = dict(mode=mode)
  else:
    student, teachers = logits
    fn = losses.decision_ensemble_loss
    kwargs = dict(reduce=mode)

  def loss(student, teachers):
    return fn(student, teachers, **kwargs)

  grad = jax.jit(jax.grad(loss, (0, 1)))
  found, teacher_grads = grad(student, teachers)
  changed = list(teachers)
  changed[index] = -changed[index]
  assert np.abs(found - grad(student, changed)[0]).max() > 1e-3
  assert not any(np.any(t) for t in teacher_grads)


def test_wrong_arguments(logits, embeddings):
  student, teachers = logits
  for kwargs, message in (
    (dict(reduce="max"), "'max'"),
    (dict(weights=[1.0]), "1 weights for 3 teachers"),
    (dict(temperatures=[1.0, 2.0]), "2 temperatures for 3 teachers"),
    (dict(overlaps=[np.eye(2)] * 3), r"\(2, 2\).*\(4, 3, 6\)"),
    (dict(overlaps=[np.ones([2, 3])] * 3), "mixed to 2 parts"),
  ):
    with pytest.raises(ValueError, match=message):
      losses.decision_ensemble_loss(student, teachers, **kwargs)
  with pytest.raises(ValueError, match="for 0 teachers"):
    losses.decision_ensemble_loss(student, [])
  student, teachers = embeddings
  for kwargs, message in (
    (dict(mode="max"), "'max'"),
    (dict(overlaps=[np.ones([2, 3])] * 3), "mixed to 2 parts"),
  ):
    with pytest.raises(ValueError, match=message):
      losses.boundary_ensemble_loss(student, teachers, **kwargs)


def test_values_are_put_together_by_weight():
  values = [jnp.array(x) for x in (1.0, 2.0, 4.0)]
  weights = [0.5, jnp.array(0.0), jnp.array(1.5)]
  assert losses.weighted_sum(values, weights) == 6.5
  assert losses.weighted_mean(values, weights) == 3.25
  np.testing.assert_allclose(losses.mean_weight(weights), 2 / 3, rtol=1e-6)
  assert losses.mean_weight(weights, members=4) == 0.5
  # Nobody is heard.
  assert losses.weighted_mean(values, [0.0] * 3) == 0.0
  assert losses.weighted_sum([], []) == 0.0
  with pytest.raises(ValueError, match="argument 2 is"):
    losses.weighted_sum(values, weights[:2])


def test_common_logits(logits):
  student, teachers = logits
  teacher = teachers[0][..., :4]
  same = losses.common_logits(student, teacher)
  assert same[0] is student and same[1] is teacher
  classes = np.array([5, 0]), np.array([1, 3])
  found = losses.common_logits(student, teacher, classes, factor=0.25)
  np.testing.assert_array_equal(found[0], student[..., np.array([5, 0])])
  np.testing.assert_array_equal(found[1], 0.25 * teacher[..., np.array([1, 3])])
  with pytest.raises(ValueError, match="2 and 1 common classes"):
    losses.common_logits(student, teacher, ([5, 0], [1]))
