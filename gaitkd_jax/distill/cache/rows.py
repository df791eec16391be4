"""From a teacher's outputs to the rows of a store, and back."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

# Classes that two bytes can number.
_TWO_BYTES = 2**16


def encode(
  outputs: Mapping[str, jax.Array],
  dtype: str = "float16",
  largest: int = 0,
  scale: float = 16.0,
  temperature: float = 4.0,
) -> dict[str, jax.Array]:
  """Makes the rows of a store.

  If only the largest logits are kept, the others share one value, chosen such
  that together they keep their probability at this scale and temperature. The
  logits that are kept therefore have their exact probability.

  Args:
    outputs: "embedding" `[n, p, d]` and, if there is a classifier, "logits"
      `[n, p, k]` and "neck" `[n, p, d]`.
    dtype: of what is stored, "float16" or "float32".
    largest: how many logits of a part to keep, fewer than k; 0 keeps all.
    scale: of the cross entropy that trained the teacher.
    temperature: of the decision loss.

  Returns:
    "embedding" `[n, p, d]`, and "logits" `[n, p, k]`, or "values" and "indices"
    (uint16, or int32 of more than 65,536 classes) `[n, p, largest]`,
    descending, with "rest" `[n, p]`; and of the neck "sides", uint8 `[n, p,
    ceil(d / 8)]`, a bit for each channel that is positive.
  """
  rows = {"embedding": outputs["embedding"].astype(dtype)}
  if "neck" in outputs:
    rows["sides"] = jnp.packbits(outputs["neck"] > 0, axis=-1)
  if "logits" not in outputs:
    return rows
  logits = outputs["logits"].astype(jnp.float32)
  if not largest:
    return rows | {"logits": logits.astype(dtype)}
  classes = logits.shape[-1]
  values, indices = jax.lax.top_k(logits, largest)
  others = jnp.put_along_axis(logits, indices, -jnp.inf, axis=-1, inplace=False)
  mass = jax.nn.logsumexp(scale / temperature * others, axis=-1)
  rest = temperature / scale * (mass - jnp.log(classes - largest))
  two = classes <= _TWO_BYTES
  return rows | {
    "values": values.astype(dtype),
    "indices": indices.astype(jnp.uint16 if two else jnp.int32),
    "rest": rest.astype(dtype),
  }


def decode(
  rows: Mapping[str, jax.Array], num_classes: int = 0
) -> dict[str, jax.Array]:
  """Turns rows of `encode` back to float32 "embedding" and "logits".

  "neck" is 1 where the teacher's was positive, and -1 elsewhere.

  Args:
    rows: of a store.
    num_classes: k, which rows of the largest logits do not tell.
  """
  out = {"embedding": rows["embedding"].astype(jnp.float32)}
  if "sides" in rows:
    width = rows["embedding"].shape[-1]
    positive = jnp.unpackbits(rows["sides"], axis=-1, count=width)
    out["neck"] = jnp.where(positive == 1, 1.0, -1.0)
  if "logits" in rows:
    out["logits"] = rows["logits"].astype(jnp.float32)
  elif "rest" in rows:
    rest = rows["rest"].astype(jnp.float32)[..., None]
    out["logits"] = jnp.put_along_axis(
      jnp.broadcast_to(rest, (*rest.shape[:-1], num_classes)),
      rows["indices"].astype(jnp.int32),
      rows["values"].astype(jnp.float32),
      axis=-1,
      inplace=False,
    )
  return out


def batch_key(teacher: str, array: str) -> str:
  """The key of a teacher's array in a batch."""
  return f"teacher_outputs/{teacher}/{array}"


def outputs(
  batch: Mapping[str, jax.Array], name: str, num_classes: int = 0
) -> dict[str, jax.Array]:
  """A teacher's outputs for a batch, inside a jitted step.

  Args:
    batch: as `attach` gives it.
    name: of the teacher.
    num_classes: of its logits, if it has any.

  Returns:
    float32 "embedding" `[n, p, d]` and, if the teacher has a classifier,
    "logits" `[n, p, num_classes]` and "neck" `[n, p, d]`, see `decode`.
  """
  prefix = batch_key(name, "")
  rows = {
    key.removeprefix(prefix): value
    for key, value in batch.items()
    if key.startswith(prefix)
  }
  return decode(rows, num_classes)


def error(
  logits: jax.Array, stored: jax.Array, scale: float, temperature: float
) -> dict[str, jax.Array]:
  """How far storing moved a teacher's probabilities at a temperature.

  Args:
    logits: of the teacher, `[n, p, k]`.
    stored: the same, as read from the store.
    scale: of the cross entropy that trained the teacher.
    temperature: of the decision loss.

  Returns:
    float32 `[n]`, means over the parts: "absolute", the mean absolute
    difference of probabilities; "divergence", of the stored distribution from
    the teacher's.
  """
  log_p, log_q = (
    jax.nn.log_softmax(scale / temperature * x.astype(jnp.float32))
    for x in (logits, stored)
  )
  p = jnp.exp(log_p)
  return {
    "absolute": jnp.mean(jnp.abs(p - jnp.exp(log_q)), axis=(1, 2)),
    "divergence": jnp.mean(jnp.sum(p * (log_p - log_q), axis=-1), axis=1),
  }
