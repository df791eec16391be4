"""Contrast between a student's and a teacher's embedding of the same clip."""

import jax
import jax.numpy as jnp

from gaitkd_jax.losses import parts
from gaitkd_jax.losses import similarity


def info_nce_loss(
  student_embedding: jax.Array,
  teacher_embedding: jax.Array,
  temperature: float | jax.Array = 0.1,
  labels: jax.Array | None = None,
) -> jax.Array:
  """InfoNCE over the batch (arXiv 1807.03748), part by part.

  `-log softmax_j(<e_s_i, e_t_j> / T)` at `j = i`, embeddings at length 1: the
  teacher's embedding of the same clip is the positive, those of the other
  clips are negatives. Our definition of the feature loss of Fuse Before
  Transfer (arXiv 2410.12342), whose temperature is learned.

  Args:
    student_embedding: `[n, p, d]`.
    teacher_embedding: `[n, q, d]`, q as in `parts.common_parts`.
    temperature: `T`.
    labels: int `[n]`; if given, other clips of the same person are not taken as
      negatives. None takes every other clip.

  Returns:
    Scalar float32, the mean over samples and parts.

  Raises:
    ValueError: the shapes differ in more than the number of parts.
  """
  student_embedding, teacher_embedding = parts.common_parts(
    student_embedding, teacher_embedding, "embedding"
  )
  cosines = similarity.products(
    similarity.unit(student_embedding),
    similarity.unit(jax.lax.stop_gradient(teacher_embedding)),
  )
  same_clip = jnp.eye(cosines.shape[-1], dtype=bool)
  taken = None
  if labels is not None:
    other = labels[:, None] != labels[None, :]
    taken = jnp.broadcast_to((other | same_clip)[None], cosines.shape)
  logits = cosines / temperature
  same = jnp.diagonal(logits, axis1=1, axis2=2)
  return jnp.mean(jax.nn.logsumexp(logits, axis=-1, where=taken) - same)
