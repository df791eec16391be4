"""Terms that show the networks other views of the clips of a batch."""

from typing import Any

import jax
import jax.numpy as jnp

from gaitkd_jax import losses

_MODALITIES = ("silhouettes", "heatmaps")


def cross_view(
  context: Any,
  pair: Any,
  teacher: str,
  supervised_weight: float = 0.5,
  erase: float = 0.25,
  scale: float = 16.0,
  **options: Any,
) -> jax.Array:
  """Cross-view consistency of every clip and a heavily augmented copy.

  Student and teacher see the copy too, so a step costs about twice as much.
  Running statistics are those of the clips themselves. See
  `losses.cross_view_loss`.

  Args:
    context: of the step.
    pair: the student's and the teacher's outputs on the clips.
    teacher: its name.
    supervised_weight: of the student's cross entropy on the copies.
    erase: largest height and width of what is erased, as shares.
    scale: factor on all logits.
    **options: of `losses.cross_view_loss`.

  Returns:
    Scalar float32.
  """
  strong = heavy_view(context.batch, context.key, erase)
  student = context.forward(strong)["logits"]
  taught = context.teach(strong)[teacher]["logits"]
  value = losses.cross_view_loss(
    pair[0]["logits"],
    pair[1]["logits"],
    student,
    taught,
    scale=scale,
    **options,
  )
  supervised = losses.cross_entropy_loss(student, context.labels, scale)
  return value + supervised_weight * supervised


def patch_swap(
  context: Any,
  pair: Any,
  teacher: str,
  bands: int = 16,
  scale: float = 16.0,
  **options: Any,
) -> jax.Array:
  """Self-distillation of clips of one person that exchanged bands.

  A step costs about twice as much. Running statistics are those of the clips
  themselves. A clip without a partner in the batch is its own. See
  `losses.patch_swap_loss`.

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
  other = partners(context.labels)
  rows = jnp.arange(len(other))
  swapped = jax.random.bernoulli(context.key, 0.5, (len(other), bands))
  swapped = swapped[jnp.minimum(rows, other)]
  batch = dict(context.batch)
  lengths = batch.get("lengths")
  if lengths is not None:  # frames that only one of both has stay out
    batch["lengths"] = jnp.minimum(lengths, lengths[other])
  for key in _MODALITIES:
    if key in batch:
      batch[key] = losses.swap_bands(batch[key], other, swapped)
  logits = context.forward(batch)["logits"]
  return losses.patch_swap_loss(
    logits, logits[other], context.labels, scale=scale, **options
  )


def partners(labels: jax.Array) -> jax.Array:
  """Pairs the clips of every person: `[n]`, its own inverse."""
  rows = jnp.arange(len(labels))
  same = labels[:, None] == labels[None, :]
  rank = jnp.sum(same & (rows[None, :] < rows[:, None]), axis=1)
  match = same & (rank[None, :] == (rank ^ 1)[:, None])
  return jnp.where(match.any(axis=1), jnp.argmax(match, axis=1), rows)


def heavy_view(batch: Any, key: jax.Array, erase: float) -> dict[str, Any]:
  """Mirrors half of the clips and erases a rectangle of each, in all frames."""
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
  view = dict(batch)
  for name in _MODALITIES:
    if name in view:
      x = view[name]
      lead = (slice(None),) + (None,) * (x.ndim - 1)
      x = jnp.where(mirrored[lead], jnp.flip(x, axis=3), x)
      gone = inside.reshape((n, 1, h, w) + (1,) * (x.ndim - 4))
      view[name] = jnp.where(gone, jnp.zeros((), x.dtype), x)
  return view
