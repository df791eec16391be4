"""The losses against the reference."""

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
  expected = np.swapaxes(arrays[f"{name}/grad"], 1, 2)
  assert vectors.difference(grad, expected) < 1e-5


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
  expected = arrays["cross_entropy_s16_nosmooth/info_accuracy"]
  np.testing.assert_allclose(accuracy, expected, rtol=1e-6)


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
    expected = arrays[f"dkd_T{temperature}_s16_a1_b2/info_{half}"]
    assert vectors.difference(value, expected) < 1e-5


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
