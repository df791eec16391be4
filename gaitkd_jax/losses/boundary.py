"""GaitKD, boundary level: which side of zero each teacher channel lies on."""

import jax
import jax.numpy as jnp
import numpy as np

from gaitkd_jax.losses import parts

CENTRES = ("none", "neck")
REDUCTIONS = ("sum", "mean")
# Of a channel's variance over the batch, as in batch normalisation.
_EPSILON = 1e-5


def boundary_loss(
  student_embedding: jax.Array,
  teacher_embedding: jax.Array,
  margin: float = 1.0,
  overlap: jax.Array | np.ndarray | None = None,
  centre: str = "none",
  reduce: str = "sum",
) -> jax.Array:
  """GaitKD's boundary-level loss (arXiv 2604.26255).

  The activation-boundary loss of Heo et al. (AAAI 2019) on part embeddings
  before the neck: where the teacher's channel is positive the student's is
  pushed above `margin`, elsewhere (zero included) below `-margin`, by the
  squared distance. No gradient reaches the teacher. If the numbers of parts
  differ the first of both are compared, as in GaitKD's code.

  As published it sums over channels, so that a sensible weight depends on the
  embedding's width, and takes signs of the embedding as it is. An embedding is
  a linear map without bias of what is never negative, so its channels may lie
  far from zero: then a sign says the same of nearly every clip, and the loss
  moves the student's means. `boundary_bits` tells whether it does.

  `centre="neck"` is our definition. A teacher classifies the direction of what
  is behind its neck, `y = gamma (e - mu) / sigma + beta`, by channel, with the
  running mean and deviation of its embedding e. The hyperplanes `y = 0` are
  those through the point that its classifier measures angles from, so it is
  their sides that hold its partition of the space. A shift or a positive
  scale of a channel, `a e + b`, has the statistics `a mu + b` and `a sigma`:
  y and its side are the same. The student's channel is standardised by the
  mean and the deviation of its batch, with their gradients, so that the margin
  is in its deviations, and neither a shift nor a scale of it matters either.

  Examples:
    One clip, one part, two channels: the first is .5 short of the margin, the
    second lies on the wrong side of zero.

    >>> import jax.numpy as jnp
    >>> student = jnp.array([[[0.5, 0.5]]])
    >>> teacher = jnp.array([[[3.0, -3.0]]])
    >>> print(boundary_loss(student, teacher))
    2.5
    >>> print(boundary_loss(student, teacher, reduce="mean"))
    1.25

    Two clips: centred, only what differs between them counts.

    >>> student = jnp.array([[[7.0]], [[9.0]]])
    >>> behind_neck = jnp.array([[[-1.0]], [[1.0]]])
    >>> loss = boundary_loss(student, behind_neck, centre="neck")
    >>> print(f"{loss:.3f}")
    0.000

  Args:
    student_embedding: `[n, p, d]`.
    teacher_embedding: `[n, q, d]`; only its signs matter. With `centre="neck"`
      it is the teacher's feature behind its neck.
    margin: distance from zero that the student is asked for; with
      `centre="neck"` in deviations of the channel.
    overlap: `[p, q]` (see `parts.overlap_matrix`): every teacher part that a
      student part overlaps is compared with it, weighted by its share;
      embeddings of two strips are never averaged. None compares the first
      parts of both.
    centre: "none", or "neck".
    reduce: over channels, "sum", or "mean", whose weight does not depend on the
      width: 0.003 on the sum over 256 is 0.768 on the mean.

  Returns:
    Scalar float32, the mean over samples and parts.

  Raises:
    ValueError: the shapes differ in more than the number of parts, or the
      overlap does not fit them, or an unknown `centre` or `reduce`.
  """
  _check(reduce)
  student_embedding = centred(student_embedding, centre)
  if overlap is None:
    student_embedding, teacher_embedding = parts.common_parts(
      student_embedding, teacher_embedding, "embedding"
    )
    side = jnp.where(jax.lax.stop_gradient(teacher_embedding) > 0, 1.0, -1.0)
    short = jax.nn.relu(margin - side * student_embedding.astype(jnp.float32))
    return over_channels(jnp.square(short), reduce)
  above, below = sides(student_embedding, teacher_embedding, overlap)
  to_above, to_below = squared_distances(student_embedding, margin)
  return over_channels(above * to_above + below * to_below, reduce)


def boundary_bits(
  student_embedding: jax.Array, teacher_embedding: jax.Array
) -> jax.Array:
  """How much the sign of a teacher's channel tells, in bits of 1 at the most.

  The entropy of a channel's side over the batch, the mean over parts and
  channels. Near 0 the boundary level is empty: the signs are the same for all
  clips. A batch of n clips gives some `1 / (2 n ln 2)` too little.

  Examples:
    One channel parts the clips in halves, the other does not.

    >>> import jax.numpy as jnp
    >>> teacher = jnp.array([[[-1.0, 5.0]], [[1.0, 6.0]]])
    >>> print(boundary_bits(teacher, teacher))
    0.5

  Args:
    student_embedding: not looked at.
    teacher_embedding: `[n, q, d]`; only its signs matter.

  Returns:
    Scalar float32.
  """
  del student_embedding
  share = jnp.mean(teacher_embedding > 0, axis=0, dtype=jnp.float32)
  entropy = jax.scipy.special.entr(share) + jax.scipy.special.entr(1.0 - share)
  return jnp.mean(entropy) / jnp.log(2.0)


def boundary_agreement(
  student_embedding: jax.Array,
  teacher_embedding: jax.Array,
  overlap: jax.Array | np.ndarray | None = None,
  centre: str = "none",
) -> jax.Array:
  """The share of sides on which student and teacher agree; 1 is all.

  Examples:
    >>> import jax.numpy as jnp
    >>> student = jnp.array([[[0.5, 0.5]]])
    >>> teacher = jnp.array([[[3.0, -3.0]]])
    >>> print(boundary_agreement(student, teacher))
    0.5

  Args:
    student_embedding: `[n, p, d]`.
    teacher_embedding: `[n, q, d]`, see `boundary_loss`.
    overlap: see `boundary_loss`.
    centre: see `boundary_loss`.

  Returns:
    Scalar float32.

  Raises:
    ValueError: see `boundary_loss`.
  """
  above, below = sides(student_embedding, teacher_embedding, overlap)
  student = centred(student_embedding, centre)[:, : above.shape[1]]
  return jnp.mean(jnp.where(student > 0, above, below))


def centred(embedding: jax.Array, centre: str) -> jax.Array:
  """A student's embedding `[n, p, d]` as `boundary_loss` compares it.

  Raises:
    ValueError: an unknown centre.
  """
  if centre not in CENTRES:
    raise ValueError(f"centre is {' or '.join(CENTRES)}, not {centre!r}")
  if centre == "none":
    return embedding
  embedding = embedding.astype(jnp.float32)
  mean = jnp.mean(embedding, axis=0, keepdims=True)
  variance = jnp.mean(jnp.square(embedding - mean), axis=0, keepdims=True)
  return (embedding - mean) * jax.lax.rsqrt(variance + _EPSILON)


def over_channels(values: jax.Array, reduce: str) -> jax.Array:
  """The mean over samples and parts of `[n, p, d]`, channels as `reduce` says.

  Raises:
    ValueError: an unknown `reduce`.
  """
  _check(reduce)
  reducer = jnp.sum if reduce == "sum" else jnp.mean
  return jnp.mean(reducer(values, axis=-1))


def sides(
  student: jax.Array,
  teacher: jax.Array,
  overlap: jax.Array | np.ndarray | None = None,
) -> tuple[jax.Array, jax.Array]:
  """How much of a teacher lies on each side of zero.

  Args:
    student: `[n, p, d]`, of which only the shape matters.
    teacher: `[n, q, d]`; no gradient reaches it.
    overlap: see `boundary_loss`.

  Returns:
    float32 `[n, p, d]`, without an overlap `[n, min(p, q), d]`: the share of
    what is compared with a student channel that is positive, and the rest.

  Raises:
    ValueError: see `boundary_loss`.
  """
  teacher = jax.lax.stop_gradient(teacher)
  if overlap is None:
    _, teacher = parts.common_parts(student, teacher, "embedding")
    above = (teacher > 0).astype(jnp.float32)
    return above, 1.0 - above
  above = parts.mix_parts(teacher > 0, overlap)
  below = parts.mix_parts(teacher <= 0, overlap)
  parts.check_mixed(student, above, teacher, "embedding")
  return above, below


def squared_distances(
  embedding: jax.Array, margin: float
) -> tuple[jax.Array, jax.Array]:
  """Squared distances to `margin` from below and to `-margin` from above."""
  embedding = embedding.astype(jnp.float32)
  return (
    jnp.square(jax.nn.relu(margin - embedding)),
    jnp.square(jax.nn.relu(embedding + margin)),
  )


def _check(reduce: str) -> None:
  if reduce not in REDUCTIONS:
    raise ValueError(f"reduce is {' or '.join(REDUCTIONS)}, not {reduce!r}")
