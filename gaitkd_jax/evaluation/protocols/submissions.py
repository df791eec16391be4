"""CSVs for servers that keep the labels of the probes."""

from collections import Counter
from collections.abc import Sequence
import csv
import dataclasses
import io
from typing import Any

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax.evaluation import search
from gaitkd_jax.evaluation.protocols import searches
from gaitkd_jax.evaluation.search import rerank as rerank_lib


@dataclasses.dataclass(frozen=True)
class RankedSubjects:
  """The subjects of the nearest gallery sequences: GREW's server.

  A line a probe: its name (its view), then the subjects as whole numbers, the
  nearest first; a subject may occur several times.

  Attributes:
    search: the conditions of the probes and of the gallery.
    ranks: how many subjects a line has.
  """

  search: searches.Search
  ranks: int
  options = ()

  def lines(
    self,
    embeddings: Any,
    subjects: np.ndarray,
    conditions: np.ndarray,
    views: np.ndarray,
    metric: str = "euclidean",
    memory_gib: float = 1.0,
  ) -> list[str]:
    """The lines of the CSV, without line ends.

    Args:
      embeddings: finite, `[n, p, d]`.
      subjects: str `[n]`.
      conditions: str `[n]`.
      views: str `[n]`.
      metric: of `distances.METRICS`.
      memory_gib: bound of the blocks that are in memory at once.

    Raises:
      errors.UserError: no probes, too few gallery sequences, a subject that is
        no number, probes of the same name, distances that are not finite.
    """
    subjects, conditions, views = _texts(subjects, conditions, views)
    probes, gallery = self.rows(subjects, conditions, views)
    _, nearest = search.nearest(
      search.Rows(embeddings, probes),
      search.Rows(embeddings, gallery),
      self.ranks,
      metric,
      memory_gib,
    )
    header = ["videoId", *(f"rank{k}" for k in range(1, self.ranks + 1))]
    numbers = subjects[gallery].astype(int).astype(str)[nearest]
    rows = [[n, *r] for n, r in zip(views[probes], numbers, strict=True)]
    return [_line(row) for row in [header, *rows]]

  def rows(
    self, subjects: np.ndarray, conditions: np.ndarray, views: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the probes and of the gallery; raises as `lines` does."""
    subjects, conditions, views = _texts(subjects, conditions, views)
    found = searches.find({"submission": self.search}, conditions)
    probes, gallery = found["submission"]
    if len(gallery) < self.ranks:
      raise errors.UserError(
        f"the gallery has {len(gallery)} sequences and a line of the "
        f"submission {self.ranks}; prepare the whole test set"
      )
    odd = [s for s in subjects[gallery] if not (s.isascii() and s.isdigit())]
    if odd:
      raise errors.UserError(
        f"{len(odd)} gallery sequences have no number as their subject, the "
        f"first {str(odd[0])!r}; the submission needs numbers: check the data "
        "set"
      )
    _check_names(views[probes])
    return probes, gallery


@dataclasses.dataclass(frozen=True)
class NearestSubject:
  """The subject of the nearest gallery sequence: HID's server.

  A line a probe: its name (its view) and the subject as the data set spells it.
  Probes are the sequences of one subject; all others are the gallery.

  Attributes:
    probe: the subject of the probes.
    k1: of the re-ranking, see `search.rerank.rerank_distances`.
    k2: see there.
    lambda_value: see there.
  """

  probe: str
  k1: int
  k2: int
  lambda_value: float
  options = ("rerank",)

  def lines(
    self,
    embeddings: Any,
    subjects: np.ndarray,
    conditions: np.ndarray,
    views: np.ndarray,
    metric: str = "euclidean",
    memory_gib: float = 1.0,
    rerank: bool = True,
  ) -> list[str]:
    """The lines of the CSV, without line ends.

    Args:
      embeddings: finite, `[n, p, d]`.
      subjects: str `[n]`.
      conditions: str `[n]`, of no effect.
      views: str `[n]`.
      metric: of `distances.METRICS`.
      memory_gib: bound of the blocks that are in memory at once.
      rerank: re-ranks with k-reciprocal neighbours.

    Raises:
      errors.UserError: no probes or no gallery, probes of the same name,
        distances that are not finite.
    """
    subjects, _, views = _texts(subjects, conditions, views)
    probes, gallery = self.rows(subjects, conditions, views)
    sides = search.Rows(embeddings, probes), search.Rows(embeddings, gallery)
    if rerank:
      nearest = self._reranked(*sides, metric, memory_gib)
    else:
      nearest = search.nearest(*sides, 1, metric, memory_gib)[1][:, 0]
    rows = zip(views[probes], subjects[gallery][nearest], strict=True)
    return [_line(row) for row in [("videoID", "label"), *rows]]

  def rows(
    self, subjects: np.ndarray, conditions: np.ndarray, views: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the probes and of the gallery; raises as `lines` does."""
    del conditions
    subjects, views = _texts(subjects, views)
    is_probe = subjects == self.probe
    probes, gallery = np.flatnonzero(is_probe), np.flatnonzero(~is_probe)
    if not len(probes) or not len(gallery):
      raise errors.UserError(
        f"{len(probes)} sequences are of the subject {self.probe!r} (the "
        f"probes) and {len(gallery)} of others (the gallery); the submission "
        "needs both: check the data set"
      )
    _check_names(views[probes])
    return probes, gallery

  def _reranked(
    self,
    probe: search.Rows,
    gallery: search.Rows,
    metric: str,
    memory_gib: float,
  ) -> np.ndarray:
    """The nearest gallery item of each probe after re-ranking, `[a]`."""
    best = np.full(len(probe), np.inf, np.float32)
    nearest = np.zeros(len(probe), np.int64)
    for rows, items, distance in rerank_lib.rerank(
      probe,
      gallery,
      self.k1,
      self.k2,
      self.lambda_value,
      metric,
      memory_gib,
    ):
      column = distance.argmin(axis=1)
      value = distance[np.arange(len(column)), column]
      closer = value < best[rows]
      nearest[rows] = np.where(closer, items.start + column, nearest[rows])
      best[rows] = np.where(closer, value, best[rows])
    return nearest


def _texts(*labels: np.ndarray) -> tuple[np.ndarray, ...]:
  """Labels as str `[n]` each."""
  return tuple(np.asarray(x).astype(str) for x in labels)


def _line(cells: Sequence[str]) -> str:
  """A line of a CSV; a name with a comma in it is quoted."""
  text = io.StringIO()
  csv.writer(text, lineterminator="").writerow(cells)
  return text.getvalue()


def _check_names(views: np.ndarray) -> None:
  """Raises a UserError unless the names of the probes differ."""
  name, count = Counter(views.tolist()).most_common(1)[0]
  if count > 1:
    raise errors.UserError(
      f"{count} probes have the name {name!r}; the server needs one line a "
      "name: check the data set"
    )


SUBMISSIONS = {
  # The test set without public labels: two sequences of every subject, and
  # those of the folder "probe".
  "grew_submission": RankedSubjects(
    searches.Search(probes=("03",), gallery=("01", "02")), ranks=20
  ),
  "hid_submission": NearestSubject("probe", k1=6, k2=6, lambda_value=0.3),
}
