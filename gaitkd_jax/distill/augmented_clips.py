"""Terms that run the networks on augmented copies of a batch's clips."""

from typing import Any

import jax
import jax.numpy as jnp

from gaitkd_jax import losses
from gaitkd_jax.distill import context as context_lib
from gaitkd_jax.distill import pairing
from gaitkd_jax.distill import teachers as teachers_lib

_MODALITIES = ("silhouettes", "heatmaps")


def weak_and_strong(
  context: context_lib.Context,
  pair: pairing.Pair,
  teacher: str,
  supervised_weight: float = 0.5,
  erase: float = 0.25,
  scale: float = 16.0,
  **options: Any,
) -> jax.Array:
  """Consistency of every clip and a strongly augmented copy of it.

  The clips of the batch are the weak copies. Student and teacher run on the
  strong copies too, so that a step costs about twice as much. The student's
  running statistics are those of the batch itself. See
  `losses.cross_view_loss`.

  Args:
    context: of the step.
    pair: the student's and the teacher's outputs on the batch.
    teacher: its name.
    supervised_weight: of the student's cross entropy on the strong copies.
    erase: largest height and width of what is erased, as shares.
    scale: factor on all logits.
    **options: of `losses.cross_view_loss`.

  Returns:
    Scalar float32.
  """
  assert context.batch is not None and context.key is not None
  assert context.student_forward and context.teachers_forward
  strong = strongly_augmented(context.batch, context.key, erase)
  student_strong = context.student_forward(strong)["logits"]
  teacher_strong = context.teachers_forward(strong)[teacher]
  value = losses.cross_view_loss(
    pair.student["logits"],
    pair.matched(pair.teacher, "logits"),
    student_strong,
    pair.matched(teacher_strong, "logits"),
    scale=scale,
    **options,
  )
  supervised = losses.cross_entropy_loss(student_strong, context.labels, scale)
  return value + supervised_weight * supervised


def patch_swap(
  context: context_lib.Context,
  pair: None,
  teacher: str,
  bands: int = 16,
  scale: float = 16.0,
  **options: Any,
) -> jax.Array:
  """Self-distillation of clips of one person that exchanged bands.

  A step costs about twice as much. The student's running statistics are those
  of the batch itself. A clip without a partner in the batch is its own
  partner. See `losses.patch_swap_loss`.

  Args:
    context: of the step.
    pair: not used: there is no teacher.
    teacher: not used.
    bands: horizontal bands; half of them, at random, are exchanged.
    scale: factor on the logits.
    **options: of `losses.patch_swap_loss`.

  Returns:
    Scalar float32.
  """
  del pair, teacher
  assert context.batch is not None and context.key is not None
  assert context.student_forward
  partner = partners(context.labels)
  rows = jnp.arange(len(partner))
  swapped = jax.random.bernoulli(context.key, 0.5, (len(partner), bands))
  swapped = swapped[jnp.minimum(rows, partner)]
  batch = dict(context.batch)
  lengths = batch.get("lengths")
  if lengths is not None:  # frames that only one of both has stay out
    batch["lengths"] = jnp.minimum(lengths, lengths[partner])
  for key in _MODALITIES:
    if key in batch:
      batch[key] = losses.swap_bands(batch[key], partner, swapped)
  logits = context.student_forward(batch)["logits"]
  return losses.patch_swap_loss(
    logits, logits[partner], context.labels, scale=scale, **options
  )


def partners(labels: jax.Array) -> jax.Array:
  """Pairs the clips of every person.

  Args:
    labels: int `[n]`.

  Returns:
    int `[n]`, the index of every clip's partner; a clip that is left over has
    its own. Partners are mutual.
  """
  rows = jnp.arange(len(labels))
  same = labels[:, None] == labels[None, :]
  rank = jnp.sum(same & (rows[None, :] < rows[:, None]), axis=1)
  match = same & (rank[None, :] == (rank ^ 1)[:, None])
  return jnp.where(match.any(axis=1), jnp.argmax(match, axis=1), rows)


def strongly_augmented(
  batch: teachers_lib.Batch, key: jax.Array, erase: float
) -> dict[str, jax.Array]:
  """Mirrors half of the clips and erases a rectangle of each, in all frames.

  Args:
    batch: with "silhouettes" `[n, s, h, w]` and perhaps "heatmaps" `[n, s, h,
      w, 2]`.
    key: of the draws.
    erase: largest height and width of a rectangle, as shares.

  Returns:
    The batch with other silhouettes and heat maps.
  """
  n, _, h, w = batch["silhouettes"].shape
  mirror, place, size = jax.random.split(key, 3)
  mirrored = jax.random.bernoulli(mirror, 0.5, (n,))
  corner = jax.random.uniform(place, (n, 2))
  extent = erase * jax.random.uniform(size, (n, 2))
  inside = jnp.ones((n, h, w), bool)
  for axis, count in ((1, h), (2, w)):
    top = corner[:, axis - 1] * (1 - extent[:, axis - 1]) * count
    position = jnp.arange(count)[None, :]
    hit = (position >= top[:, None]) & (
      position < (top + extent[:, axis - 1] * count)[:, None]
    )
    inside &= jnp.expand_dims(hit, 2 if axis == 1 else 1)
  augmented = dict(batch)
  for name in _MODALITIES:
    if name in batch:
      x = batch[name]
      lead = (slice(None),) + (None,) * (x.ndim - 1)
      x = jnp.where(mirrored[lead], jnp.flip(x, axis=3), x)
      gone = inside.reshape((n, 1, h, w) + (1,) * (x.ndim - 4))
      augmented[name] = jnp.where(gone, jnp.zeros((), x.dtype), x)
  return augmented
