"""Where a network looks: gradients of the similarity of two sequences.

A search compares sequences by the mean over parts of the distance between their
embeddings, so the similarity of part k of a sequence x to another sequence is

  s_k(x) = -|e_k(x) - r_k|          (metric "euclidean")
  s_k(x) = cos(e_k(x), r_k) - 1     (metric "cosine")

with `e` what a search compares and `r` the other one's, which is held fixed.
Their mean is minus the distance. A group of parts, g, weighs them:
S_g = sum_k w_gk s_k. Two kinds of maps say which pixels S_g depends on:

- `pixel_saliency`, the gradient by pixels (Simonyan et al., "Deep Inside
  Convolutional Networks", arXiv 1312.6034, section 3, with S_g in place of the
  score of a class):

    M_g[t, i, j] = max_c |dS_g / dx[t, i, j, c]|

- `grad_cam`, the feature map `A` of a layer, each channel weighted by its mean
  gradient (Selvaraju et al., "Grad-CAM", arXiv 1610.02391, equations 1 and 2;
  the mean ranges over the pixels of all frames, which are one input):

    a_g[c] = mean_tij dS_g / dA[t, i, j, c]
    L_g[t, i, j] = max(0, sum_c a_g[c] A[t, i, j, c])

A part that is pooled from a strip of the feature map has no gradient outside
that strip. Pixel saliency keeps that: it reaches as far as the receptive field
of the strip's features. Grad-CAM does not, since its weights are averaged over
the whole map: it shows where the channels that matter for a part are active,
anywhere in the image.
"""

from collections.abc import Callable
from collections.abc import Sequence
import functools
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gaitkd_jax import models
from gaitkd_jax.evaluation import distances

# Of the distance to what equals the reference, whose gradient is none.
_TINY = 1e-24


def thirds(bins: Sequence[int]) -> dict[str, np.ndarray]:
  """Groups parts by height.

  A part belongs to the third of the body's height that its middle lies in. Of
  parts that are higher than a third, only the group of all knows.

  Args:
    bins: strips of every level, see `models.GaitNetwork.bins`.

  Returns:
    Weights float32 `[p]`, the mean of a group, by "upper third", "middle
    third", "lower third" and "all parts"; without the empty ones.
  """
  middle = np.concatenate([(np.arange(b) + 0.5) / b for b in bins])
  height = np.concatenate([np.full(b, 1 / b) for b in bins])
  third = np.where(height > 1 / 3, -1, (3 * middle).astype(int))
  groups = {
    name: third == i
    for i, name in enumerate(("upper third", "middle third", "lower third"))
  } | {"all parts": np.ones(len(middle), bool)}
  return {
    name: (chosen / chosen.sum()).astype(np.float32)
    for name, chosen in groups.items()
    if chosen.any()
  }


def part_similarity(
  embedding: jax.Array, reference: jax.Array, metric: str = "euclidean"
) -> jax.Array:
  """Minus the distance of every part, float32 `[p]`.

  Args:
    embedding: `[p, d]`.
    reference: `[p, d]`.
    metric: "euclidean" or "cosine".

  Raises:
    ValueError: unknown metric.
  """
  distances.check_metric(metric)
  x, y = embedding.astype(jnp.float32), reference.astype(jnp.float32)
  if metric == "cosine":
    return jnp.sum(_unit(x) * _unit(y), axis=-1) - 1.0
  square = jnp.sum(jnp.square(x - y), axis=-1)
  # The root has no gradient at 0: there is nothing to come nearer to.
  apart = square > _TINY
  return -jnp.where(apart, jnp.sqrt(jnp.where(apart, square, 1.0)), 0.0)


def group_gradients(
  similarity: Callable[[jax.Array], jax.Array],
  x: jax.Array,
  weights: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """Differentiates groups of parts by the input of a function.

  Args:
    similarity: from `x` to `[p]`.
    x: of any shape.
    weights: `[g, p]`.

  Returns:
    Similarities of the groups `[g]`, and their gradients `[g, *x.shape]`.
  """
  parts, pull_back = jax.vjp(similarity, x)
  (gradients,) = jax.vmap(pull_back)(weights.astype(parts.dtype))
  return weights @ parts, gradients


def class_activation(features: jax.Array, gradients: jax.Array) -> jax.Array:
  """Grad-CAM of a feature map; see the module's docstring.

  Args:
    features: `[..., c]`.
    gradients: `[g, ..., c]`.

  Returns:
    `[g, ...]`, not negative.
  """
  inner = tuple(range(1, gradients.ndim - 1))
  channels = jnp.mean(gradients, axis=inner)
  return jax.nn.relu(jnp.einsum("...c,gc->g...", features, channels))


@functools.partial(jax.jit, static_argnames=("module", "metric"))
def pixel_saliency(
  module: models.GaitNetwork,
  variables: Any,
  silhouettes: jax.Array,
  reference: jax.Array,
  *,
  weights: jax.Array | None = None,
  length: jax.Array | int | None = None,
  metric: str = "euclidean",
) -> tuple[jax.Array, jax.Array]:
  """The gradient of a sequence's similarity to another one by its pixels.

  Args:
    module: the network.
    variables: of the network.
    silhouettes: one sequence, `[s, h, w]` or `[s, h, w, c]` in [0, 1]; see
      `models.GaitNetwork.__call__`.
    reference: `[p, d]`, the embedding ("retrieval") of the other sequence.
    weights: `[g, p]`, groups of parts, such as those of `thirds`; None: every
      part by itself.
    length: of the sequence, if it is padded.
    metric: "euclidean" or "cosine".

  Returns:
    Similarities of the groups, float32 `[g]`, and maps, float32 `[g, s, h, w]`:
    the largest over the channels that the network takes, in units of distance
    per unit of brightness, 0 in frames beyond `length`.

  Raises:
    ValueError: unknown metric, or shapes that do not fit.
  """

  def similarity(x: jax.Array) -> jax.Array:
    out: Any = module.apply(variables, x[None], _lengths(length))
    return part_similarity(out["retrieval"][0], reference, metric)

  groups = _groups(weights, reference)
  found, gradients = group_gradients(similarity, silhouettes, groups)
  maps = jnp.abs(gradients)
  return found, maps if silhouettes.ndim == 3 else jnp.max(maps, axis=-1)


@functools.partial(jax.jit, static_argnames=("module", "layer", "metric"))
def grad_cam(
  module: models.GaitNetwork,
  variables: Any,
  silhouettes: jax.Array,
  reference: jax.Array,
  *,
  layer: str,
  weights: jax.Array | None = None,
  length: jax.Array | int | None = None,
  metric: str = "euclidean",
) -> tuple[jax.Array, jax.Array]:
  """Grad-CAM of a sequence's similarity to another one.

  Args:
    module: the network.
    variables: of the network.
    silhouettes: see `pixel_saliency`.
    reference: see `pixel_saliency`.
    layer: path of the submodule that gives the feature map
      `[s, h', w', c]`, as in the parameters: usually the last one with two axes
      of space, such as "stage4_block0" of GaitBase.
    weights: see `pixel_saliency`.
    length: see `pixel_saliency`.
    metric: see `pixel_saliency`.

  Returns:
    Similarities of the groups, float32 `[g]`, and maps, float32
    `[g, s, h', w']`, 0 in frames beyond `length`.

  Raises:
    ValueError: no such layer, or it gives no feature map; else see
      `pixel_saliency`.
  """
  path = tuple(layer.split("/"))

  def run(added: jax.Array | None) -> tuple[jax.Array, jax.Array]:
    """Similarities of the parts, and the map, to which something is added."""
    maps = []

    def add(next_call: Any, args: Any, kwargs: Any, context: Any) -> Any:
      out = next_call(*args, **kwargs)
      if context.module.path != path or context.method_name != "__call__":
        return out
      if not hasattr(out, "ndim") or out.ndim != 4:
        raise ValueError(f"layer {layer!r} gives no maps [s, h, w, c]")
      out = out if added is None else out + added
      maps.append(out)
      return out

    with nn.intercept_methods(add):
      out: Any = module.apply(variables, silhouettes[None], _lengths(length))
    if len(maps) != 1:
      known = ", ".join(sorted(variables["params"]))
      raise ValueError(
        f"layer {layer!r} is called {len(maps)} times; give a path of one that "
        f"is called once, such as one of {known}"
      )
    return part_similarity(out["retrieval"][0], reference, metric), maps[0]

  _, shape = jax.eval_shape(run, None)
  nothing = jnp.zeros(shape.shape, shape.dtype)
  features = run(None)[1]
  groups = _groups(weights, reference)
  found, gradients = group_gradients(lambda x: run(x)[0], nothing, groups)
  features, gradients = (x.astype(jnp.float32) for x in (features, gradients))
  if length is not None:
    # Beyond the end nothing has a gradient: the mean is that of real frames.
    real = jnp.arange(shape.shape[0]) < length
    features = jnp.where(real[:, None, None, None], features, 0.0)
    gradients = gradients * (shape.shape[0] / length)
  return found, class_activation(features, gradients)


def _unit(x: jax.Array) -> jax.Array:
  square = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
  return x * jax.lax.rsqrt(jnp.maximum(square, _TINY))


def _lengths(length: jax.Array | int | None) -> jax.Array | None:
  return None if length is None else jnp.full((1,), length, jnp.int32)


def _groups(weights: jax.Array | None, reference: jax.Array) -> jax.Array:
  if weights is None:
    return jnp.eye(len(reference), dtype=jnp.float32)
  return jnp.asarray(weights, jnp.float32)
