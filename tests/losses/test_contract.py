"""What holds of every distillation loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import losses

N, P, K, D = 6, 3, 12, 5
LABELS = np.array([0, 0, 1, 1, 2, 2])


def filled_bank():
  rng = np.random.default_rng(8)
  past = rng.normal(size=(4, P, D)).astype(np.float32)
  past /= np.linalg.norm(past, axis=-1, keepdims=True)
  bank = losses.init_bank(10, P, D, D)
  return losses.push(bank, past, past[::-1], np.array([0, 1, 2, 3]))


# Every student part overlaps two parts of the teacher, or one.
OVERLAP = np.array([[0.5, 0.5, 0], [0, 1, 0], [0, 0.25, 0.75]], np.float32)
# By the arrays that they take: each a function of (student, teacher).
LOGITS = {
  "decision": losses.decision_loss,
  "decision_by_height": lambda s, t: losses.decision_loss(
    s, t, overlap=OVERLAP
  ),
  "kd": losses.kd_loss,
  "standardised_kd": losses.standardised_kd_loss,
  "ka_ps": lambda s, t: losses.ka_ps_loss(s, t, LABELS),
  "ka_lsr": lambda s, t: losses.ka_lsr_loss(s, t, LABELS),
  "logit_mse": losses.logit_mse_loss,
  "dkd": lambda s, t: losses.dkd_loss(s, t, LABELS),
  "gdkd": losses.gdkd_loss,
  "gdkd_three": lambda s, t: losses.gdkd_loss(s, t, three_groups=True),
  "gdkd_worst": lambda s, t: losses.gdkd_loss(
    s, t, pick="worst", direction="both"
  ),
  "grouped_kd": lambda s, t: losses.grouped_kd_loss(s, t, LABELS, top=3),
  "grouped_kd_share": lambda s, t: losses.grouped_kd_loss(
    s, t, LABELS, share=0.5
  ),
  "ofa": lambda s, t: losses.ofa_loss(s, t, LABELS),
  "dist": losses.dist_loss,
  "cross_view": lambda s, t: losses.cross_view_loss(
    s, t, s, t, weak_confidence=0.0
  ),
  "ensemble": lambda s, t: losses.decision_ensemble_loss(s, [t, t[::-1]]),
  "ensemble_mean": lambda s, t: losses.decision_ensemble_loss(
    s, [t, t[::-1]], reduce="mean"
  ),
}
EMBEDDINGS = {
  "boundary": losses.boundary_loss,
  "boundary_by_height": lambda s, t: losses.boundary_loss(
    s, t, overlap=OVERLAP
  ),
  "boundary_centred": lambda s, t: losses.boundary_loss(
    s, t, centre="neck", reduce="mean"
  ),
  "feature_mse": losses.feature_mse_loss,
  "unit_embedding_mse": losses.unit_embedding_mse_loss,
  "embedding_cosine": losses.embedding_cosine_loss,
  "attention_transfer": losses.attention_transfer_loss,
  "rkd": losses.rkd_loss,
  "similarity_preserving": losses.similarity_preserving_loss,
  "correlation_congruence": losses.correlation_congruence_loss,
  "info_nce": losses.info_nce_loss,
  "idc": lambda s, t: losses.idc_loss(s, t, LABELS),
  "idc_softmax": lambda s, t: losses.idc_loss(s, t, LABELS, "softmax"),
  "ekd": lambda s, t: losses.ekd_loss(
    s, t, LABELS, losses.init_anchors(P), softness=0.5
  )[0],
  "instance": lambda s, t: losses.instance_loss(
    s, t, losses.init_threshold(), 0.5
  )[0],
  "relation_bank": lambda s, t: losses.relation_bank_loss(
    s, t, LABELS, filled_bank(), hardest=3
  )[0],
  "relation_bank_teacher": lambda s, t: losses.relation_bank_loss(
    s, t, LABELS, filled_bank(), hardest=3, against="teacher"
  )[0],
  "relation_batch": lambda s, t: losses.relation_batch_loss(
    s, t, LABELS, hardest=2
  ),
  "adadistill": lambda s, t: losses.adadistill_loss(
    s, t, LABELS, losses.init_centres(4, P, D)
  )[0],
  "adadistill_cosface": lambda s, t: losses.adadistill_loss(
    s, t, LABELS, losses.init_centres(4, P, D), kind="cosface"
  )[0],
  "boundaries": lambda s, t: losses.boundary_ensemble_loss(s, [t, t[::-1]]),
  "boundaries_vote": lambda s, t: losses.boundary_ensemble_loss(
    s, [t, t[::-1]], mode="vote"
  ),
  "boundaries_agree": lambda s, t: losses.boundary_ensemble_loss(
    s, [t, t[::-1]], mode="agree"
  ),
}
MAPS = {
  "attention_transfer_map": losses.attention_transfer_loss,
  "channel_wise": losses.channel_wise_loss,
}
SHAPES = (
  {name: (N, P, K) for name in LOGITS}
  | {name: (N, P, D) for name in EMBEDDINGS}
  | {name: (N, 2, 3, 4, D) for name in MAPS}
)
ALL = LOGITS | EMBEDDINGS | MAPS


def pair(name, seed=0):
  rng = np.random.default_rng(seed)
  return (
    jnp.asarray(rng.uniform(-1, 1, SHAPES[name]), jnp.float32) for _ in range(2)
  )


def compiled(fn):
  # Nothing here runs long enough to be worth optimising.
  return jax.jit(fn, compiler_options={"xla_backend_optimization_level": 0})


@pytest.mark.parametrize("name", ALL)
def test_the_student_learns_and_the_teacher_does_not(name):
  fn = compiled(jax.value_and_grad(ALL[name], argnums=(0, 1)))
  value, (grad, teacher_grad) = fn(*pair(name))
  assert value.shape == () and value.dtype == jnp.float32
  assert np.isfinite(value) and value > 0
  assert np.isfinite(grad).all() and np.abs(grad).max() > 1e-6
  assert not teacher_grad.any()
  # Rows of zeros and equal rows have no direction, distance or order.
  x = jnp.zeros(SHAPES[name])
  for student, teacher in ((x, x), (x + 1.0, x), (x - 1e-20, x + 1e-20)):
    value, (grad, _) = fn(student, teacher)
    assert np.isfinite(value) and np.isfinite(grad).all()
  # As large as a wrong scale makes them.
  student, teacher = pair(name, 1)
  value, (grad, _) = fn(1e4 * student, 1e4 * teacher)
  assert np.isfinite(value) and np.isfinite(grad).all()


@pytest.mark.parametrize("name", ALL)
def test_bfloat16_outputs_are_summed_in_float32(name):
  low = [x.astype(jnp.bfloat16) for x in pair(name)]
  value, exact = compiled(
    lambda s, t: (
      ALL[name](s, t),
      ALL[name](s.astype(jnp.float32), t.astype(jnp.float32)),
    )
  )(*low)
  assert value.dtype == jnp.float32
  np.testing.assert_allclose(value, exact, rtol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_other_clips_are_refused_with_both_shapes(name):
  student, teacher = pair(name)
  teacher = jnp.concatenate([teacher, teacher])
  shapes = [str(x.shape).replace("(", r"\(") for x in (student, teacher)]
  shapes = [x.replace(")", r"\)") for x in shapes]
  with pytest.raises(ValueError, match=".*".join(shapes)):
    ALL[name](student, teacher)


UNEQUAL_PARTS = [
  name
  for name in LOGITS | EMBEDDINGS
  if not name.startswith(("relation_bank", "ekd", "adadistill"))
  and not name.endswith("by_height")
]


@pytest.mark.parametrize("name", UNEQUAL_PARTS)
def test_of_unequal_parts_the_first_are_compared(name):
  student, teacher = pair(name)
  value, expected = compiled(
    lambda s, t: (ALL[name](s, t), ALL[name](s[:, :2], t))
  )(student, teacher[:, :2])
  np.testing.assert_allclose(value, expected, rtol=1e-6)


@pytest.mark.parametrize(
  "call, message",
  [
    (lambda s, t: losses.gdkd_loss(s, t, direction="up"), "'up'"),
    (lambda s, t: losses.gdkd_loss(s, t, pick="any"), "'any'"),
    (lambda s, t: losses.dkd_loss(s[..., :2], t[..., :2], LABELS), "3 classes"),
    (lambda s, t: losses.ka_lsr_loss(s, t, LABELS, epsilon=0.0), "epsilon"),
    (
      lambda s, t: losses.relation_bank_loss(
        s, t, LABELS, losses.init_bank(4, P, K, K), against="me"
      ),
      "'me'",
    ),
    (
      lambda s, t: losses.relation_bank_loss(
        s, t, LABELS, losses.init_bank(4, 9, K, K)
      ),
      r"student \(6, 3, 12\).*\(4, 9, 12\)",
    ),
    (
      lambda s, t: losses.ekd_loss(s, t, LABELS, losses.init_anchors(9)),
      r"anchors \(9, 3\)",
    ),
    (
      lambda s, t: losses.adadistill_loss(
        s, t, LABELS, losses.init_centres(4, P, K), kind="face"
      ),
      "'face'",
    ),
    (
      lambda s, t: losses.adadistill_loss(
        s, t, LABELS, losses.init_centres(4, P, 7)
      ),
      r"centres \(4, 3, 7\)",
    ),
    (lambda s, t: losses.idc_loss(s, t, LABELS, "kl"), "'kl'"),
    (lambda s, t: losses.patch_swap_loss(s, t[:2], LABELS), "differ"),
    (lambda s, t: losses.cross_view_loss(s, t, s[:2], t[:2]), "differ"),
    (
      lambda s, t: losses.grouped_kl_loss(
        s, t, jnp.zeros([2, P, K], int), 1.0, (1.0,)
      ),
      r"groups \(2, 3, 12\)",
    ),
  ],
)
def test_wrong_arguments(call, message):
  with pytest.raises(ValueError, match=message):
    call(*pair("kd"))
