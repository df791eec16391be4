"""Ranks of the right gallery items; the only place that sees distances."""

from collections.abc import Iterator

import numpy as np

from gaitkd_jax import distances
from gaitkd_jax import errors

# The rank of a subject who is not in the gallery: beyond every rank.
ABSENT = np.iinfo(np.int32).max


class Ranker:
  """Searches rows of a set of embeddings in other rows.

  Equal distances are ranked in the order of the gallery. No more than the
  distances of one block of probes are in memory.
  """

  def __init__(self, embeddings: np.ndarray, subjects: np.ndarray, metric: str):
    """Keeps the set.

    Args:
      embeddings: finite, `[n, p, d]`.
      subjects: str `[n]`.
      metric: of `distances.METRICS`.
    """
    self._embeddings = embeddings
    self._subjects = np.unique(subjects, return_inverse=True)[1]
    self._metric = metric

  def first_matches(
    self, probes: np.ndarray, gallery: np.ndarray
  ) -> np.ndarray:
    """The rank of the nearest gallery item of each probe's own subject.

    Args:
      probes: int `[a]`, rows.
      gallery: int `[b]`, rows.

    Returns:
      int32 `[a]`, from 1; `ABSENT` where the gallery lacks the subject.
    """
    if not len(gallery):
      return np.full(len(probes), ABSENT, np.int32)
    result = [np.zeros(0, np.int32)]
    before = np.arange(len(gallery))
    for rows, distance in self._blocks(probes, gallery):
      same = self._same(rows, gallery)
      own = np.where(same, distance, np.inf)
      first = np.argmin(own, axis=1)[:, None]
      nearest = np.take_along_axis(own, first, axis=1)
      ahead = (distance < nearest) | (
        (distance == nearest) & (before[None, :] < first)
      )
      rank = 1 + ahead.sum(axis=1)
      result.append(
        np.where(np.isfinite(nearest[:, 0]), rank, ABSENT).astype(np.int32)
      )
    return np.concatenate(result)

  def all_matches(
    self,
    probes: np.ndarray,
    gallery: np.ndarray,
    views: np.ndarray | None = None,
  ) -> list[np.ndarray]:
    """The ranks of all gallery items of each probe's own subject.

    Args:
      probes: int `[a]`, rows.
      gallery: int `[b]`, rows.
      views: `[n]`; if given, gallery items of the probe's own subject and view
        are left out before ranking.

    Returns:
      For each probe its ranks, ascending, from 1; none where the gallery lacks
      the subject.
    """
    result = []
    for rows, distance in self._blocks(probes, gallery):
      same = self._same(rows, gallery)
      kept = np.ones_like(same)
      if views is not None:
        kept = ~(same & (views[rows][:, None] == views[gallery][None, :]))
      for d, s, k in zip(distance, same, kept, strict=True):
        right = s[k][np.argsort(d[k], kind="stable")]
        result.append(1 + np.flatnonzero(right))
    return result

  def _same(self, probes: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Whether the subjects are the same: bool `[a, b]`."""
    return self._subjects[probes][:, None] == self._subjects[gallery][None, :]

  def _blocks(
    self, probes: np.ndarray, gallery: np.ndarray
  ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Probe rows `[k]` and their distances `[k, b]`, in turn."""
    for rows, distance in distances.distance_blocks(
      self._embeddings, probes, gallery, self._metric
    ):
      if not np.isfinite(distance).all():
        raise errors.UserError(
          "distances are beyond float32 (embeddings reach "
          f"{np.abs(self._embeddings).max():.3g}); the network or its "
          "checkpoint is broken"
        )
      yield rows, distance
