"""Losses on logits whose classes lie split over eight devices."""

import functools
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import losses
from gaitkd_jax import placement
from gaitkd_jax import sharding
from gaitkd_jax.distill import terms
from gaitkd_jax.models import heads
from tests.helpers import command

# No other axis is as long.
N, P, D, K = 16, 3, 5, 88
OVERLAP = losses.overlap_matrix(P, P)
REVERSED = np.arange(N)[::-1].copy()


def of_student(loss, **options):
  """A loss of the student's logits, the teacher's and labels."""
  return lambda s, t, y: loss(s, t, **options)


def of_labels(loss, **options):
  return lambda s, t, y: loss(s, t, y, **options)


LOSSES = {
  "cross_entropy": lambda s, t, y: losses.cross_entropy_loss(s, y),
  "accuracy": lambda s, t, y: losses.part_accuracy(s + t, y) + 0 * jnp.sum(s),
  "decision": of_student(losses.decision_loss),
  "decision_overlap": of_student(losses.decision_loss, overlap=OVERLAP),
  "decision_mean": lambda s, t, y: losses.decision_ensemble_loss(
    s, [t, -t], reduce="mean"
  ),
  "kd": of_student(losses.kd_loss),
  "ka_ps": of_labels(losses.ka_ps_loss),
  "ka_lsr": of_labels(losses.ka_lsr_loss),
  "logit_mse": of_student(losses.logit_mse_loss),
  "standardised_kd": of_student(losses.standardised_kd_loss),
  "dkd": of_labels(losses.dkd_loss),
  "gdkd": of_student(losses.gdkd_loss),
  "gdkd_worst": of_student(
    losses.gdkd_loss, pick="worst", three_groups=True, direction="both"
  ),
  "grouped_kd": of_labels(losses.grouped_kd_loss, top=30, secondary_weight=1.0),
  "grouped_kd_share": of_labels(losses.grouped_kd_loss, share=0.6),
  "ofa": of_labels(losses.ofa_loss),
  "dist": of_student(losses.dist_loss),
  "cross_view": lambda s, t, y: losses.cross_view_loss(
    s, t, s[REVERSED], t[REVERSED], strong_confidence=0.0, weak_confidence=0.0
  ),
  "patch_swap": lambda s, t, y: losses.patch_swap_loss(s, s[REVERSED], y),
}


def arrays():
  """Two kernels, embeddings and labels."""
  rng = np.random.default_rng(0)
  draw = functools.partial(rng.normal, scale=1.0)
  return (
    draw(size=(P, D, K)).astype(np.float32),
    draw(size=(P, D, K)).astype(np.float32),
    draw(size=(N, P, D)).astype(np.float32),
    rng.integers(0, K, N).astype(np.int32),
  )


def program(loss, mesh=None):
  """Value and gradients for the student's kernel and the embeddings."""

  def logits(kernel, embedding):
    out = {
      "logits": jnp.einsum(
        "npd,pdk->npk",
        heads.unit_length(embedding - jnp.mean(embedding, 0, keepdims=True), 2),
        heads.unit_length(kernel, axis=1),
        precision=jax.lax.Precision.HIGHEST,
      )
    }
    return placement.split_logits(out, mesh)["logits"]

  def value(student, teacher, embedding, labels):
    return loss(logits(student, embedding), logits(teacher, -embedding), labels)

  function = jax.value_and_grad(value, argnums=(0, 2))
  if mesh is None:
    return jax.jit(function)
  by_class, by_clip = sharding.by_axis(mesh, 2), sharding.by_sequence(mesh)
  return jax.jit(
    function,
    in_shardings=(by_class, by_class, by_clip, by_clip),
    out_shardings=(sharding.replicated(mesh), (by_class, by_clip)),
  )


def of_all_classes(text):
  """Arrays of a compiled program that have an axis of all classes."""
  return re.findall(rf"\w+\[(?:\d+,)*{K}(?:,\d+)*\]", text)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_of_split_classes_is_the_same_and_gathers_nothing(name):
  given = arrays()
  split = program(LOSSES[name], sharding.create_mesh(8))
  value, gradients = split(*given)
  expected, others = program(LOSSES[name])(*given)
  np.testing.assert_allclose(value, expected, rtol=1e-5)
  for found, other in zip(gradients, others, strict=True):
    np.testing.assert_allclose(
      found, other, rtol=0, atol=2e-6 * np.abs(other).max(initial=1e-3)
    )
  assert gradients[0].addressable_shards[0].data.shape == (P, D, K // 8)
  text = split.lower(*given).compile().as_text()
  assert re.search(rf"[\[,]{K // 8}\]", text)
  assert not of_all_classes(text)


TPU = """
import json, re
import jax
from gaitkd_jax import sharding
from gaitkd_jax.cost import ahead, devices

target = devices.find_target("v5e:2x4")
ahead.prepare(target)
mesh = ahead.create_mesh(target)
from tests.losses import test_split_classes as here

by_class, by_clip = sharding.by_axis(mesh, 2), sharding.by_sequence(mesh)
shapes = [
  jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where)
  for x, where in zip(here.arrays(), [by_class] * 2 + [by_clip] * 2)
]
found = {}
for name in ("cross_entropy", "decision", "gdkd", "grouped_kd_share"):
  lowered = here.program(here.LOSSES[name], mesh).lower(*shapes)
  found[name] = here.of_all_classes(lowered.compile().as_text())
print(json.dumps(found))
"""


@pytest.mark.slow
def test_a_tpu_gathers_nothing_either():
  pytest.importorskip("libtpu")
  found = json.loads(command.output(program=("-c", TPU), JAX_PLATFORMS=""))
  assert len(found) == 4 and not any(found.values())


def test_every_kind_on_logits_is_among_them():
  kinds = {k for k, kind in terms.KINDS.items() if kind.end_point == "logits"}
  assert kinds <= LOSSES.keys()


def test_common_classes_come_together():
  """Those that are picked by index; all else stays split."""
  classes = np.arange(24), np.arange(8, 32)

  def loss(student, teacher, labels):
    return losses.decision_loss(
      *losses.common_logits(student, teacher, classes)
    )

  given = arrays()
  split = program(loss, sharding.create_mesh(8))
  value, (gradient, _) = split(*given)
  expected, (other, _) = program(loss)(*given)
  np.testing.assert_allclose(value, expected, rtol=1e-5)
  np.testing.assert_allclose(
    gradient, other, rtol=0, atol=2e-6 * np.abs(other).max()
  )
  text = split.lower(*given).compile().as_text()
  assert not of_all_classes(text)
