"""Verification: is this the same person, at a threshold of the distance.

What a product needs beside ranks. FAR (false accept rate) is the share of pairs
of different subjects at or below the threshold, TAR (true accept rate) that of
pairs of one subject; EER is the error where FAR equals 1 - TAR (ISO/IEC
19795-1).
"""

from collections.abc import Mapping
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from gaitkd_jax.evaluation.protocols import ranks as ranks_lib
from gaitkd_jax.evaluation.protocols import searches as searches_lib

RATES = (0.1, 0.01, 0.001)
# Of the range of distances: each threshold is known to a millionth of it.
_BINS = 1 << 20


@dataclasses.dataclass(frozen=True)
class Curve:
  """What every threshold gives.

  Attributes:
    thresholds: of the distance, ascending, `[t]`.
    far: false accept rate, in [0, 1], `[t]`; NaN without pairs of strangers.
    tar: true accept rate, in [0, 1], `[t]`; NaN without pairs of one subject.
    strangers: number of pairs of different subjects.
  """

  thresholds: np.ndarray
  far: np.ndarray
  tar: np.ndarray
  strangers: int


def curve(ranker: ranks_lib.Ranker, trial: searches_lib.Trial) -> Curve:
  """Compares every probe with every gallery item that the trial leaves.

  Args:
    ranker: of the embeddings.
    trial: what is compared.
  """
  views = trial.views
  if views is not None:
    views = np.unique(views, return_inverse=True)[1].astype(np.int32)
  scale = _BINS / ranker.longest
  counts = np.zeros(2 * _BINS, np.int64)
  for block in ranker.blocks_on_device(trial.probes, trial.gallery, views):
    counts += np.asarray(_histogram(*block, np.float32(scale), trial.excluded))
  counts = counts.reshape(2, _BINS)
  used = np.flatnonzero(counts.any(axis=0))
  sums = np.cumsum(counts[:, used], axis=1, dtype=np.float64)
  totals = counts.sum(axis=1)
  far, tar = (
    sums[i] / totals[i] if totals[i] else np.full(len(used), np.nan)
    for i in (0, 1)
  )
  return Curve((used + 1) / scale, far, tar, int(totals[0]))


@functools.partial(jax.jit, static_argnames="excluded")
def _histogram(distance, probe_codes, item_codes, scale, excluded):
  """Counts of the bins of strangers, then of those of one subject."""
  same = probe_codes[:, :1] == item_codes[:, 0][None, :]
  kept = (probe_codes[:, :1] >= 0) & (item_codes[:, 0] >= 0)[None, :]
  if excluded:
    seen = probe_codes[:, 1:] == item_codes[:, 1][None, :]
    kept &= ~(seen & same if excluded == "own_view" else seen)
  bins = jnp.clip((distance * scale).astype(jnp.int32), 0, _BINS - 1)
  bins = jnp.where(kept, bins + jnp.where(same, _BINS, 0), 2 * _BINS)
  return jnp.zeros(2 * _BINS, jnp.int32).at[bins.ravel()].add(1, mode="drop")


def figures(found: Curve) -> dict[str, float]:
  """EER and TAR at `RATES`, in percent, and the thresholds that they need.

  Returns:
    "EER", "TAR@FAR=<rate>" and "threshold@FAR=<rate>" (a distance: pairs at or
    below it are accepted). NaN where there is no pair of one subject or of
    strangers, or fewer than 1 / rate pairs of strangers.
  """
  result = {"EER": 100 * _equal_error(found)}
  for rate in RATES:
    tar = threshold = np.nan
    if found.strangers * rate >= 1 and np.isfinite(found.tar).all():
      accepted = np.flatnonzero(found.far <= rate)
      tar = 100 * found.tar[accepted[-1]] if len(accepted) else 0.0
      threshold = found.thresholds[accepted[-1]] if len(accepted) else 0.0
    result[f"TAR@FAR={rate:g}"] = float(tar)
    result[f"threshold@FAR={rate:g}"] = float(threshold)
  return result


def _equal_error(found: Curve) -> float:
  """Where FAR and 1 - TAR cross, between the two thresholds around that."""
  if not len(found.far) or np.isnan(found.far + found.tar).any():
    return float("nan")
  far = np.concatenate([[0.0], found.far])
  missed = 1 - np.concatenate([[0.0], found.tar])
  i = int(np.argmax(far >= missed))
  gap, next_gap = missed[i - 1] - far[i - 1], far[i] - missed[i]
  share = gap / (gap + next_gap)
  return float(far[i - 1] + share * (far[i] - far[i - 1]))


def all_figures(curves: Mapping[str, Curve]) -> dict[str, float]:
  """`figures` by "<condition>/<figure>"."""
  return {
    f"{name}/{key}": value
    for name, found in curves.items()
    for key, value in figures(found).items()
  }
