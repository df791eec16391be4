"""Saliency of the sequences that a page shows."""

import logging
from typing import Any

import jax
import numpy as np

from gaitkd_jax import models
from gaitkd_jax.evaluation import embed as embed_lib
from gaitkd_jax.evaluation import report as report_lib
from gaitkd_jax.evaluation import saliency
from gaitkd_jax.models import inputs

# About a cycle of gait at 25 frames a second.
_FRAMES = 24


class PageSaliency:
  """What a network looks at in sequences of its test split.

  A sequence is shown by consecutive frames from its middle. What it is compared
  with is embedded already, from all its frames. One program is compiled, at the
  first call; it runs on one device of this process.
  """

  def __init__(
    self,
    module: models.GaitNetwork,
    variables: Any,
    embedder: embed_lib.Embedder,
    embeddings: Any,
    metric: str,
  ):
    """Takes the network and what it made.

    Args:
      module: the network.
      variables: of the network; what is not in full in every process is a
        classifier's, on which no embedding depends.
      embedder: of the split.
      embeddings: `[n, p, d]`, of all sequences of the split.
      metric: of `distances.METRICS`.
    """
    self._module, self._embedder = module, embedder
    self._embeddings, self._metric = embeddings, metric
    # No longer arrays of all processes: the others do not draw the page.
    self._variables = jax.tree.map(_fetched, variables)
    self._groups = saliency.thirds(module.bins)

  def __call__(self, row: int, other: int) -> report_lib.Looks | None:
    """The gradient of the similarity of one sequence to another.

    None if the device cannot compute it, which is logged: a page without it is
    better than none at the end of a training.

    Args:
      row: position of the sequence in the split.
      other: position of what it is compared with.
    """
    clip: Any = self._embedder.clip(row, _FRAMES)
    length = int(clip["lengths"][0])
    try:
      _, maps = saliency.pixel_saliency(
        self._module,
        self._variables,
        inputs.network_input(clip, self._module.in_channels)[0],
        np.asarray(self._embeddings[other], np.float32),
        weights=np.stack(list(self._groups.values())),
        length=length,
        metric=self._metric,
      )
      maps = np.asarray(maps)[:, :length]
    except jax.errors.JaxRuntimeError as e:
      reason = str(e).partition("\n")[0]
      logging.warning("the page shows no saliency of a sequence: %s", reason)
      return None
    return report_lib.Looks(
      clip["silhouettes"][0, :length],
      dict(zip(self._groups, maps, strict=True)),
    )


def _fetched(array: Any) -> np.ndarray:
  if isinstance(array, jax.Array) and not (
    array.is_fully_addressable or array.is_fully_replicated
  ):
    return np.broadcast_to(np.zeros([], array.dtype), array.shape)
  return jax.device_get(array)
