"""Self-distillation of clips of one person that exchanged bands."""

import jax
import jax.numpy as jnp

from gaitkd_jax.losses import cross_entropy
from gaitkd_jax.losses import decision


def swap_bands(
  silhouettes: jax.Array, partners: jax.Array, swapped: jax.Array
) -> jax.Array:
  """Takes horizontal bands of every clip from its partner.

  A band is as high as a part, so that in every frame a part sees the strip of
  one clip. An exchange is mutual if `partners` is its own inverse
  and partners have equal rows of `swapped`.

  Args:
    silhouettes: `[n, s, h, w]` or `[n, s, h, w, c]`.
    partners: int `[n]`, the index of every clip's partner, of the same person.
    swapped: bool `[n, p]`, which bands come from the partner; p divides h.

  Returns:
    The same shape and type.

  Raises:
    ValueError: p does not divide h, or the numbers of clips differ.
  """
  n, height, bands = (
    silhouettes.shape[0],
    silhouettes.shape[2],
    swapped.shape[1],
  )
  if height % bands:
    raise ValueError(
      f"silhouettes {silhouettes.shape} have no {bands} bands of equal height"
    )
  if len(partners) != n or len(swapped) != n:
    raise ValueError(
      f"partners {partners.shape} and swapped {swapped.shape} do not fit "
      f"silhouettes {silhouettes.shape}"
    )
  rows = jnp.repeat(swapped, height // bands, axis=1)
  shape = (n, 1, height) + (1,) * (silhouettes.ndim - 3)
  return jnp.where(rows.reshape(shape), silhouettes[partners], silhouettes)


def patch_swap_loss(
  first_logits: jax.Array,
  second_logits: jax.Array,
  labels: jax.Array,
  temperature: float | jax.Array = 4.0,
  scale: float = 16.0,
  label_smoothing: float = 0.1,
  consistency_weight: float | jax.Array = 1.0,
) -> jax.Array:
  """Self-distillation of two clips that exchanged bands (see `swap_bands`).

  After intra-class patch swap (arXiv 2505.14124), whose formula could not be
  read; our definition: the cross entropy of both, and `T^2 [KL(a || b) + KL(b
  || a)]` with the first of each as a fixed target. It needs no teacher: a
  control for what the augmentation does alone.

  Args:
    first_logits: of one clip of each pair, cosines `[n, p, k]`.
    second_logits: of the other, the same shape.
    labels: int `[n]`, of the pairs.
    temperature: `T`.
    scale: factor on the cosines.
    label_smoothing: of the cross entropy.
    consistency_weight: of the divergences.

  Returns:
    Scalar float32, the mean over pairs and parts.

  Raises:
    ValueError: the shapes differ.
  """
  if first_logits.shape != second_logits.shape:
    raise ValueError(
      f"first logits {first_logits.shape} and second logits "
      f"{second_logits.shape} differ"
    )
  value = jnp.zeros([], jnp.float32)
  for student, target in (
    (first_logits, second_logits),
    (second_logits, first_logits),
  ):
    value += cross_entropy.cross_entropy_loss(
      student, labels, scale, label_smoothing
    )
    value += consistency_weight * decision.decision_loss(
      student, target, temperature, scale
    )
  return value
