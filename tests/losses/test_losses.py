"""The losses against the reference, and their properties."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import losses
from tests.parity import vectors


# In the second file the student has four parts and the teacher three.
@pytest.fixture(params=["losses", "losses_parts_4_vs_3"], scope="module")
def arrays(request):
  return vectors.load(request.param)[0]


def parts_first(x):
  return jnp.asarray(np.swapaxes(x, 1, 2))


def check(arrays, name, fn, argument):
  value, grad = jax.jit(jax.value_and_grad(fn))(argument)
  assert vectors.difference(value, arrays[f"{name}/value"]) < 1e-5
  theirs = np.swapaxes(arrays[f"{name}/grad"], 1, 2)
  assert vectors.difference(grad, theirs) < 1e-5


@pytest.mark.parametrize(
  "name, smoothing",
  [("cross_entropy_s16_eps0.1", 0.1), ("cross_entropy_s16_nosmooth", 0.0)],
)
def test_cross_entropy_parity(arrays, name, smoothing):
  labels = jnp.asarray(arrays["labels"])
  check(
    arrays,
    name,
    lambda z: losses.cross_entropy_loss(z, labels, label_smoothing=smoothing),
    parts_first(arrays["student_logits"]),
  )


def test_part_accuracy_parity(arrays):
  accuracy = losses.part_accuracy(
    parts_first(arrays["student_logits"]), jnp.asarray(arrays["labels"])
  )
  theirs = arrays["cross_entropy_s16_nosmooth/info_accuracy"]
  np.testing.assert_allclose(accuracy, theirs, rtol=1e-6)


def test_triplet_parity(arrays):
  labels = jnp.asarray(arrays["labels"])
  embedding = parts_first(arrays["student_embed"])
  check(
    arrays,
    "triplet_m0.2",
    lambda x: losses.triplet_loss(x, labels, 0.2),
    embedding,
  )
  _, active = losses.triplet_parts(embedding, labels, 0.2)
  np.testing.assert_array_equal(active, arrays["triplet_m0.2/info_loss_num"])


@pytest.mark.parametrize("temperature", [1, 4])
def test_decision_parity(arrays, temperature):
  teacher = parts_first(arrays["teacher_logits"])
  check(
    arrays,
    f"kl_T{temperature}_s16",
    lambda z: losses.decision_loss(z, teacher, temperature),
    parts_first(arrays["student_logits"]),
  )


@pytest.mark.parametrize("margin", [1, 0.5])
def test_boundary_parity(arrays, margin):
  teacher = parts_first(arrays["teacher_embed"])
  check(
    arrays,
    f"boundary_m{margin}",
    lambda x: losses.boundary_loss(x, teacher, margin),
    parts_first(arrays["student_embed"]),
  )


# The reference clamps the student's masses.
def reference_dkd(student, teacher, labels, alpha, beta, temperature):
  return losses.dkd_loss(
    student, teacher, labels, alpha, beta, temperature, mass_floor=1e-12
  )


LOGIT_LOSSES = {
  "ka_ps_T1_s16": lambda s, t, y: losses.ka_ps_loss(s, t, y, 1.0),
  "ka_ps_T4_s16": lambda s, t, y: losses.ka_ps_loss(s, t, y, 4.0),
  "ka_lsr_T1_s16_eps0.1": lambda s, t, y: losses.ka_lsr_loss(s, t, y, 1.0),
  "ka_lsr_T4_s16_eps0.1": lambda s, t, y: losses.ka_lsr_loss(s, t, y, 4.0),
  "dkd_T1_s16_a1_b2": lambda s, t, y: reference_dkd(s, t, y, 1.0, 2.0, 1.0),
  "dkd_T4_s16_a1_b2": lambda s, t, y: reference_dkd(s, t, y, 1.0, 2.0, 4.0),
  "logit_mse_s16": lambda s, t, y: losses.logit_mse_loss(s, t),
}


@pytest.mark.parametrize("name", LOGIT_LOSSES)
def test_logit_losses_parity(arrays, name):
  teacher = parts_first(arrays["teacher_logits"])
  labels = jnp.asarray(arrays["labels"])
  check(
    arrays,
    name,
    lambda z: LOGIT_LOSSES[name](z, teacher, labels),
    parts_first(arrays["student_logits"]),
  )


@pytest.mark.parametrize("temperature", [1, 4])
def test_dkd_halves_parity(arrays, temperature):
  student = parts_first(arrays["student_logits"])
  teacher = parts_first(arrays["teacher_logits"])
  labels = jnp.asarray(arrays["labels"])
  for half, weights in (("tckd", (1.0, 0.0)), ("nckd", (0.0, 1.0))):
    value = reference_dkd(student, teacher, labels, *weights, temperature)
    theirs = arrays[f"dkd_T{temperature}_s16_a1_b2/info_{half}"]
    assert vectors.difference(value, theirs) < 1e-5


EMBEDDING_LOSSES = {
  "feature_mse": losses.feature_mse_loss,
  "attention_transfer_p2": losses.attention_transfer_loss,
}


@pytest.mark.parametrize("name", EMBEDDING_LOSSES)
def test_embedding_losses_parity(arrays, name):
  teacher = parts_first(arrays["teacher_embed"])
  check(
    arrays,
    name,
    lambda x: EMBEDDING_LOSSES[name](x, teacher),
    parts_first(arrays["student_embed"]),
  )


def test_every_reference_loss_is_compared(arrays):
  here = {"triplet_m0.2", "boundary_m1", "boundary_m0.5"}
  here |= {"kl_T1_s16", "kl_T4_s16"}
  here |= {"cross_entropy_s16_eps0.1", "cross_entropy_s16_nosmooth"}
  names = {k.removesuffix("/value") for k in arrays if k.endswith("/value")}
  assert names == here | set(LOGIT_LOSSES) | set(EMBEDDING_LOSSES)


def test_triplet_by_hand():
  # Two of label 0 at 0 and 1, one of label 1 at 3: distances 1, 3, 2.
  embedding = jnp.array([0.0, 1.0, 3.0]).reshape(3, 1, 1)
  labels = jnp.array([0, 0, 1])
  # Active: (0, 1 | 2) 1 - 3 + 2.5, (1, 0 | 2) 1 - 2 + 2.5, the self-pair
  # (1, 1 | 2) 0 - 2 + 2.5 and (2, 2 | 1) 0 - 2 + 2.5.
  value, active = losses.triplet_parts(embedding, labels, 2.5)
  assert active[0] == 4
  np.testing.assert_allclose(value[0], (0.5 + 1.5 + 0.5 + 0.5) / 4, rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, 1e-20, 1.0, 1e4])
def test_gradients_are_finite_for_equal_embeddings(value):
  embedding = jnp.full([6, 2, 3], value)
  labels = jnp.array([0, 0, 1, 1, 2, 2])
  grad = jax.grad(losses.triplet_loss)(embedding, labels)
  assert np.isfinite(grad).all()


def test_gradients_are_finite_for_saturated_logits():
  logits = jnp.stack([jnp.full([2, 3], 1e4), jnp.full([2, 3], -1e4)], axis=-1)
  logits = logits.astype(jnp.float32)
  labels = jnp.array([1, 0])
  for fn in (
    lambda z: losses.cross_entropy_loss(z, labels),
    lambda z: losses.decision_loss(z, -logits),
    lambda z: losses.decision_loss(z, logits, 1.0),
  ):
    value, grad = jax.value_and_grad(fn)(logits)
    assert np.isfinite(value) and np.isfinite(grad).all()


def test_decision_oracles():
  keys = jax.random.split(jax.random.key(0), 3)
  student = jax.random.uniform(keys[0], (5, 4, 7), minval=-1)
  teacher = jax.random.uniform(keys[1], (5, 4, 7), minval=-1)
  # Adding a constant to a row changes nothing.
  shifted = student + jax.random.normal(keys[2], (5, 4, 1))
  assert abs(losses.decision_loss(student, shifted)) < 1e-4
  # The gradient is T a (P_s - P_t) / (n p).
  p_s = jax.nn.softmax(4 * student)
  p_t = jax.nn.softmax(4 * teacher)
  grad = jax.grad(losses.decision_loss)(student, teacher)
  assert vectors.difference(grad, 4 * 16 * (p_s - p_t) / 20) < 1e-5
  # Identical parts count as one.
  one = losses.decision_loss(student[:, :1], teacher[:, :1])
  many = losses.decision_loss(
    jnp.repeat(student[:, :1], 6, axis=1), jnp.repeat(teacher[:, :1], 6, axis=1)
  )
  np.testing.assert_allclose(one, many, rtol=1e-6)
  # Equal weights are the default; no gradient reaches the teacher.
  weighted = losses.decision_loss(
    student, teacher, part_weight=jnp.full([4], 0.25)
  )
  np.testing.assert_allclose(
    weighted, losses.decision_loss(student, teacher), rtol=1e-6
  )
  assert not jax.grad(losses.decision_loss, 1)(student, teacher).any()


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


@pytest.mark.parametrize("loss", [losses.decision_loss, losses.boundary_loss])
def test_unequal_shapes_name_both_sides(loss):
  with pytest.raises(ValueError, match=r"\(2, 4, 3\).*\(2, 5, 2\)"):
    loss(jnp.zeros([2, 4, 3]), jnp.zeros([2, 5, 2]))
