"""From pooled strips to embeddings and logits: linear layers and the neck."""

import math

from flax import linen as nn
import jax
import jax.numpy as jnp

from gaitkd_jax.models import normalization
from gaitkd_jax.models import quantizers


def part_init(
  key: jax.Array,
  shape: tuple[int, int, int],
  dtype: jax.typing.DTypeLike = jnp.float32,
) -> jax.Array:
  """Xavier-uniform with the fans PyTorch takes from a `[p, in, out]` tensor.

  PyTorch reads dimension 0 as outputs, 1 as inputs and the rest as a receptive
  field, so the fans are `in * out` and `p * out` rather than `in` and `out`.
  """
  p, d_in, d_out = shape
  bound = math.sqrt(6.0 / (d_in * d_out + p * d_out))
  return jax.random.uniform(key, shape, dtype, -bound, bound)


class SeparateFC(nn.Module):
  """One bias-free linear layer for every part.

  Attributes:
    features: width of the result.
    rectified: whether no value of its input is negative.
    training_only: whether a search does without it; it then stays float in a
      quantised network.
    dtype: of the computation.
  """

  features: int
  rectified: bool = False
  training_only: bool = False
  dtype: jax.typing.DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Maps `[n, p, c]` to float32 `[n, p, features]`."""
    shape = (x.shape[1], x.shape[2], self.features)
    kernel = self.param("kernel", part_init, shape)
    if not self.training_only:
      kernel = quantizers.weights(kernel, shared=(1,), edge=True)
      x = quantizers.activation(
        x, rectified=self.rectified, name="input", edge=True, train=train
      )
    return jnp.einsum(
      "npc,pcd->npd",
      x.astype(self.dtype),
      kernel.astype(self.dtype),
      precision=jax.lax.Precision.HIGHEST,  # as PyTorch's, on any device
    ).astype(jnp.float32)


class Neck(nn.Module):
  """Batch normalisation and a cosine classifier for every part (BNNeck).

  The logits are cosines in [-1, 1]; the losses scale them.
  """

  num_classes: int

  @nn.compact
  def __call__(
    self, embedding: jax.Array, *, train: bool
  ) -> tuple[jax.Array, jax.Array]:
    """Classifies every part.

    Args:
      embedding: float32 `[n, p, d]`.
      train: whether to use the statistics of this batch.

    Returns:
      The unit-length feature `[n, p, d]` behind the neck and the logits
      `[n, p, k]`, both float32.
    """
    n, p, d = embedding.shape
    x = normalization.BatchNorm(p * d, name="bn")(
      embedding.reshape(n, p * d), train=train
    )
    feature = unit_length(x.reshape(n, p, d), axis=-1)
    kernel = self.param("kernel", part_init, (p, d, self.num_classes))
    logits = jnp.einsum(
      "npd,pdk->npk",
      feature,
      unit_length(kernel, axis=1),
      precision=jax.lax.Precision.HIGHEST,
    )
    return feature, logits


class Connector(nn.Module):
  """Brings a student's part embeddings to the width of a teacher's.

  A linear layer for every part and batch normalisation. It sits on the
  student's side and is used in training only, as the connectors of activation
  boundaries are (Heo et al., AAAI 2019).
  """

  features: int

  @nn.compact
  def __call__(self, embedding: jax.Array, *, train: bool) -> jax.Array:
    """Maps float32 `[n, p, d]` to `[n, p, features]`."""
    n, p, _ = embedding.shape
    x = SeparateFC(self.features, name="fc")(embedding)
    x = normalization.BatchNorm(p * self.features, name="bn")(
      x.reshape(n, p * self.features), train=train
    )
    return x.reshape(n, p, self.features)


class PartLayers(nn.Module):
  """Two linear layers for every part, each with a normalisation of its own.

  A rectifier stands between them. The projector of a self-supervised network;
  without the second normalisation its predictor.

  Attributes:
    rectified: whether no value of its input is negative.
    normalized: whether a normalisation ends it.
    dtype: of the linear layers.
  """

  rectified: bool = False
  normalized: bool = True
  dtype: jax.typing.DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """Maps `[n, p, c]` to float32 `[n, p, c]`."""
    n, p, c = x.shape
    x = SeparateFC(c, self.rectified, dtype=self.dtype, name="fc1")(
      x, train=train
    )
    x = normalization.BatchNorm(p * c, rectified=True, name="norm1")(
      x.reshape(n, p * c), train=train
    )
    x = SeparateFC(c, rectified=True, dtype=self.dtype, name="fc2")(
      x.reshape(n, p, c), train=train
    )
    if self.normalized:
      x = normalization.BatchNorm(p * c, name="norm2")(
        x.reshape(n, p * c), train=train
      )
    return x.reshape(n, p, c)


def describe_parts(
  x: jax.Array,
  embedding_dim: int,
  num_classes: int,
  dtype: jax.typing.DTypeLike,
  train: bool,
  rectified: bool = True,
) -> dict[str, jax.Array]:
  """Embeds and classifies parts.

  To be called in a compact method: the modules "fc" and "neck" become
  submodules of the caller.

  Args:
    x: `[n, p, c]`, the pooled strips.
    embedding_dim: width `d` of an embedding.
    num_classes: identities `k`; 0 leaves the neck out.
    dtype: of the linear layer.
    train: whether the neck uses the statistics of this batch.
    rectified: whether no value of `x` is negative.

  Returns:
    "embedding" and, if there are classes, "logits" and "neck"; see
    `GaitNetwork.__call__`.
  """
  fc = SeparateFC(embedding_dim, rectified, dtype=dtype, name="fc")
  out = {"embedding": fc(x, train=train)}
  if num_classes:
    out["neck"], out["logits"] = Neck(num_classes, name="neck")(
      out["embedding"], train=train
    )
  return out


def unit_length(x: jax.Array, axis: int) -> jax.Array:
  """Divides by the Euclidean norm, at least 1e-12, with a finite gradient."""
  square = jnp.sum(jnp.square(x), axis=axis, keepdims=True)
  return x * jax.lax.rsqrt(jnp.maximum(square, 1e-24))
