"""Batch-all triplet loss on part embeddings."""

import jax
import jax.numpy as jnp


def triplet_loss(
  embedding: jax.Array, labels: jax.Array, margin: float = 0.2
) -> jax.Array:
  """The mean over parts of OpenGait's batch-all triplet loss.

  See `triplet_parts`; this is the mean of its first result.

  Examples:
    Two clips of one person, at 0 and 1, and one of another at 3.

    >>> import jax.numpy as jnp
    >>> embedding = jnp.array([0.0, 1.0, 3.0]).reshape(3, 1, 1)
    >>> labels = jnp.array([0, 0, 1])
    >>> print(f"{triplet_loss(embedding, labels, margin=2.5):.4f}")
    0.7500

  Args:
    embedding: `[n, p, d]`, not normalised.
    labels: int `[n]`.
    margin: by which a negative must lie farther than a positive.

  Returns:
    Scalar float32.
  """
  return jnp.mean(triplet_parts(embedding, labels, margin)[0])


def triplet_parts(
  embedding: jax.Array, labels: jax.Array, margin: float = 0.2
) -> tuple[jax.Array, jax.Array]:
  """OpenGait's batch-all triplet loss of every part.

  For each part, every anchor is compared with every positive (all samples of
  its label, itself included) and every negative; the hinge terms that are not
  zero are averaged (Hermans et al., arXiv 1703.07737, "BA+"). The value can
  therefore rise while training goes well; the number of active terms falls.

  An anchor's distance to itself is exactly 0; the reference has there the
  square root of a rounding error.

  Args:
    embedding: `[n, p, d]`, not normalised.
    labels: int `[n]`.
    margin: by which a negative must lie farther than a positive.

  Returns:
    The loss float32 `[p]`, and the number of active terms float32 `[p]`.
  """
  n = embedding.shape[0]
  x = jnp.swapaxes(embedding, 0, 1).astype(jnp.float32)
  square = jnp.sum(jnp.square(x), axis=-1)
  # A reduced-precision product would drown small distances.
  product = jnp.einsum(
    "pid,pjd->pij", x, x, precision=jax.lax.Precision.HIGHEST
  )
  square = square[:, :, None] + square[:, None, :] - 2.0 * product
  square = jnp.where(jnp.eye(n, dtype=bool)[None], 0.0, square)
  # jax.nn.relu selects, so that sqrt's infinite slope at 0 stays out.
  distance = jnp.sqrt(jax.nn.relu(square))
  same = labels[:, None] == labels[None, :]
  triple = same[:, :, None] & ~same[:, None, :]
  hinge = jax.nn.relu(
    distance[:, :, :, None] - distance[:, :, None, :] + margin
  )
  hinge = jnp.where(triple[None], hinge, 0.0)
  active = jnp.sum(hinge > 0, axis=(1, 2, 3), dtype=jnp.float32)
  return jnp.sum(hinge, axis=(1, 2, 3)) / (active + 1e-9), active
