"""Pairwise similarity distillation against a memory of past clips."""

import flax.struct
import jax
import jax.numpy as jnp

from gaitkd_jax.losses import parts
from gaitkd_jax.losses import similarity


@flax.struct.dataclass
class Bank:
  """The embeddings of the last clips, first in first out.

  Attributes:
    student: float32 `[K, p, d]`, at length 1.
    teacher: float32 `[K, p, e]`, at length 1.
    labels: int32 `[K]`.
    cursor: int32 scalar, where the next clip goes.
    count: int32 scalar, how many of the K are filled.
  """

  student: jax.Array
  teacher: jax.Array
  labels: jax.Array
  cursor: jax.Array
  count: jax.Array


def init_bank(
  size: int, num_parts: int, student_width: int, teacher_width: int
) -> Bank:
  """An empty bank.

  Args:
    size: K; the recipes take 4096. It need not be a multiple of the batch.
    num_parts: p, that both networks have in common.
    student_width: d.
    teacher_width: e.

  Returns:
    A `Bank` of zeros.
  """
  return Bank(
    student=jnp.zeros([size, num_parts, student_width], jnp.float32),
    teacher=jnp.zeros([size, num_parts, teacher_width], jnp.float32),
    labels=jnp.zeros([size], jnp.int32),
    cursor=jnp.zeros([], jnp.int32),
    count=jnp.zeros([], jnp.int32),
  )


def push(
  bank: Bank, student: jax.Array, teacher: jax.Array, labels: jax.Array
) -> Bank:
  """Replaces the oldest clips by a batch, or by its last K if it is larger.

  Args:
    bank: before the batch.
    student: `[n, p, d]`, at length 1.
    teacher: `[n, p, e]`, at length 1.
    labels: int `[n]`.

  Returns:
    The new bank. No gradient flows through it.

  Raises:
    ValueError: the shapes do not fit the bank's.
  """
  for name, stored, new in (
    ("student", bank.student, student),
    ("teacher", bank.teacher, teacher),
  ):
    if stored.shape[1:] != new.shape[1:] or len(new) != len(labels):
      raise ValueError(
        f"{name} {new.shape} and labels {labels.shape} do not fit the bank's "
        f"{stored.shape}"
      )
  size, batch = len(bank.labels), len(labels)
  kept = min(size, batch)
  start = bank.cursor + (batch - kept)
  slots = (start + jnp.arange(kept, dtype=jnp.int32)) % size

  def put(stored: jax.Array, new: jax.Array) -> jax.Array:
    new = jax.lax.stop_gradient(new[batch - kept :])
    return stored.at[slots].set(new.astype(stored.dtype))

  return Bank(
    student=put(bank.student, student),
    teacher=put(bank.teacher, teacher),
    labels=put(bank.labels, labels),
    cursor=(bank.cursor + batch) % size,
    count=jnp.minimum(bank.count + batch, size),
  )


def relation_bank_loss(
  student_embedding: jax.Array,
  teacher_embedding: jax.Array,
  labels: jax.Array,
  bank: Bank,
  hardest: int = 64,
  delta: float = 0.1,
  against: str = "student",
) -> tuple[jax.Array, Bank]:
  """Similarities to the clips of a bank, as the teacher sees them.

  Our definition, after the description of RPSD in arXiv 2508.11376, whose
  formula we could not read. For every clip and part the student's cosines to
  the clips of the bank are compared with the teacher's by a Huber loss: on all
  positives, and on the `hardest` negatives, which are those with the larger of
  both cosines; ties go to the first in the bank. Positives and negatives are
  averaged separately and added. The loss is 0 until a quarter of the bank is
  filled. The batch enters the bank after the loss.

  Args:
    student_embedding: `[n, p, d]`.
    teacher_embedding: `[n, q, e]`, q as in `parts.common_parts`.
    labels: int `[n]`.
    bank: of the step before, with the parts in common.
    hardest: negatives of each clip and part.
    delta: width of the Huber loss.
    against: "student" compares the student with its own past embeddings;
      "teacher" with the teacher's, which do not go stale (the widths must be
      equal).

  Returns:
    Scalar float32, and the new bank.

  Raises:
    ValueError: shapes differ, or an unknown `against`.
  """
  if against not in ("student", "teacher"):
    raise ValueError(f"against is 'student' or 'teacher', not {against!r}")
  student_embedding, teacher_embedding = parts.common_parts(
    student_embedding,
    teacher_embedding,
    "embedding",
    same_width=against == "teacher",
  )
  student = similarity.unit(student_embedding)
  teacher = similarity.unit(jax.lax.stop_gradient(teacher_embedding))
  new_bank = push(bank, student, teacher, labels)
  memory = jax.lax.stop_gradient(bank)
  size = len(memory.labels)
  value = _mined_huber(
    similarity.products(student, getattr(memory, against)),
    similarity.products(teacher, memory.teacher),
    labels[:, None] == memory.labels[None, :],
    jnp.broadcast_to(
      jnp.arange(size)[None] < memory.count, (len(labels), size)
    ),
    hardest,
    delta,
  )
  return jnp.where(4 * memory.count >= size, value, 0.0), new_bank


def relation_batch_loss(
  student_embedding: jax.Array,
  teacher_embedding: jax.Array,
  labels: jax.Array,
  hardest: int = 64,
  delta: float = 0.1,
) -> jax.Array:
  """`relation_bank_loss` among the clips of one batch, without a bank.

  Args:
    student_embedding: `[n, p, d]`.
    teacher_embedding: `[n, q, e]`, q as in `parts.common_parts`.
    labels: int `[n]`.
    hardest: negatives of each clip and part.
    delta: width of the Huber loss.

  Returns:
    Scalar float32. A clip is not compared with itself.

  Raises:
    ValueError: the clips differ.
  """
  student_embedding, teacher_embedding = parts.common_parts(
    student_embedding, teacher_embedding, "embedding", same_width=False
  )
  student = similarity.unit(student_embedding)
  teacher = similarity.unit(jax.lax.stop_gradient(teacher_embedding))
  return _mined_huber(
    similarity.products(student, student),
    similarity.products(teacher, teacher),
    labels[:, None] == labels[None, :],
    ~jnp.eye(len(labels), dtype=bool),
    hardest,
    delta,
  )


def _mined_huber(
  student: jax.Array,
  teacher: jax.Array,
  same: jax.Array,
  valid: jax.Array,
  hardest: int,
  delta: float,
) -> jax.Array:
  """Cosines `[p, n, m]`; masks `[n, m]`."""
  gap = similarity.huber(student - teacher, delta)
  positive = jnp.broadcast_to((same & valid)[None], gap.shape)
  hardness = jax.lax.stop_gradient(jnp.maximum(student, teacher))
  # -2 lies below every cosine.
  hardness = jnp.where((~same & valid)[None], hardness, -2.0)
  hardness, index = jax.lax.top_k(hardness, min(hardest, gap.shape[-1]))
  negatives = jnp.take_along_axis(gap, index, axis=-1)
  return similarity.masked_mean(gap, positive) + similarity.masked_mean(
    negatives, hardness > -2.0
  )
