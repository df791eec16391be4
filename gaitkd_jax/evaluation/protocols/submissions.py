"""CSVs for servers that keep the labels of the probes."""

from collections import Counter
from collections.abc import Mapping
from collections.abc import Sequence
import csv
import dataclasses
import io
from typing import Any

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax.evaluation import embedded as embedded_lib
from gaitkd_jax.evaluation import search
from gaitkd_jax.evaluation.protocols import probe_gallery
from gaitkd_jax.evaluation.protocols import protocol
from gaitkd_jax.evaluation.search import rerank as rerank_lib
from gaitkd_jax.hosts import together


@dataclasses.dataclass(frozen=True, kw_only=True)
class RankedSubjects(protocol.Submission):
  """The subjects of the nearest gallery sequences: GREW's server.

  A line a probe: its name (its view), then the subjects as whole numbers, the
  nearest first; a subject may occur several times.

  Attributes:
    name: see `protocol.EvaluationProtocol`.
    conditions: those of the probes and of the gallery.
    length: how many subjects a line has.
  """

  name: str
  conditions: probe_gallery.Conditions
  length: int

  def probe_galleries(
    self,
    labels: embedded_lib.Labels,
    options: Mapping[str, Any] = embedded_lib.NO_OPTIONS,
  ) -> list[probe_gallery.ProbeGallery]:
    """By conditions.

    Args:
      labels: of the whole set.
      options: none.

    Raises:
      errors.UserError: no probes, too few gallery sequences, a subject that is
        no number, probes of the same name.
    """
    del options
    (compared,) = probe_gallery.by_condition(
      {"submission": self.conditions}, labels.conditions
    )
    count = len(compared.gallery)
    if count < self.length:
      raise errors.UserError(
        f"the gallery has {count} sequences and a line of the submission "
        f"{self.length}; prepare the whole test set"
      )
    subjects = labels.subjects[compared.gallery]
    odd = [s for s in subjects if not (s.isascii() and s.isdigit())]
    if odd:
      raise errors.UserError(
        f"{len(odd)} gallery sequences have no number as their subject, the "
        f"first {str(odd[0])!r}; the submission needs numbers: check the data "
        "set"
      )
    _check_names(labels.views[compared.probes])
    return [compared]

  def lines(
    self,
    embedded: embedded_lib.Embedded,
    metric: str = "euclidean",
    memory_gib: float = 1.0,
  ) -> list[str]:
    """See `protocol.Submission`."""
    labels = embedded.labels
    (compared,) = self.probe_galleries(labels)
    nearest = _nearest(
      embedded.embeddings, compared, self.length, metric, memory_gib
    )
    header = ["videoId", *(f"rank{k}" for k in range(1, self.length + 1))]
    subjects = labels.subjects[compared.gallery].astype(int).astype(str)
    probes = labels.views[compared.probes]
    rows = [
      [name, *found]
      for name, found in zip(probes, subjects[nearest], strict=True)
    ]
    return [_line(row) for row in [header, *rows]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class NearestSubject(protocol.Submission):
  """The subject of the nearest gallery sequence: HID's server.

  A line a probe: its name and the subject as the data set spells it. The name
  is its view, or its condition where the view is "default": so OpenGait's
  script for HID calls all views. Probes are the sequences of one subject; all
  others are the gallery.

  Attributes:
    name: see `protocol.EvaluationProtocol`.
    probe: the subject of the probes.
    k1: of the re-ranking, see `search.rerank.rerank_distances`.
    k2: see there.
    lambda_value: see there.
  """

  name: str
  probe: str
  k1: int
  k2: int
  lambda_value: float
  options = ("rerank",)

  def settings(self, config: Any) -> dict[str, Any]:
    """`eval.rerank`: whether distances are re-ranked."""
    return {"rerank": config.rerank}

  def probe_galleries(
    self,
    labels: embedded_lib.Labels,
    options: Mapping[str, Any] = embedded_lib.NO_OPTIONS,
  ) -> list[probe_gallery.ProbeGallery]:
    """By subjects; conditions do not matter.

    Args:
      labels: of the whole set.
      options: not used.

    Raises:
      errors.UserError: no probes or no gallery, probes of the same name.
    """
    del options
    is_probe = labels.subjects == self.probe
    probes, gallery = np.flatnonzero(is_probe), np.flatnonzero(~is_probe)
    if not len(probes) or not len(gallery):
      raise errors.UserError(
        f"{len(probes)} sequences are of the subject {self.probe!r} (the "
        f"probes) and {len(gallery)} of others (the gallery); the submission "
        "needs both: check the data set"
      )
    _check_names(_video_names(labels[probes]))
    return [probe_gallery.ProbeGallery("submission", probes, gallery)]

  def lines(
    self,
    embedded: embedded_lib.Embedded,
    metric: str = "euclidean",
    memory_gib: float = 1.0,
  ) -> list[str]:
    """See `protocol.Submission`; re-ranks unless option "rerank" is False."""
    labels, embeddings = embedded.labels, embedded.embeddings
    (compared,) = self.probe_galleries(labels)
    if embedded.options.get("rerank", True):
      nearest = self._reranked(
        search.Rows(embeddings, compared.probes),
        search.Rows(embeddings, compared.gallery),
        metric,
        memory_gib,
      )
    else:
      nearest = _nearest(embeddings, compared, 1, metric, memory_gib)[:, 0]
    rows = zip(
      _video_names(labels[compared.probes]),
      labels.subjects[compared.gallery][nearest],
      strict=True,
    )
    return [_line(row) for row in [("videoID", "label"), *rows]]

  def _reranked(
    self,
    probe: search.Rows,
    gallery: search.Rows,
    metric: str,
    memory_gib: float,
  ) -> np.ndarray:
    """The nearest gallery item of each probe after re-ranking, `[a]`.

    Of several processes each re-ranks for a part of the probes.
    """
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
    return together.joined_shares(
      nearest[together.share(len(probe))], len(probe)
    )


def _nearest(
  embeddings: Any,
  compared: probe_gallery.ProbeGallery,
  k: int,
  metric: str,
  memory_gib: float,
) -> np.ndarray:
  """Positions in the gallery of the k nearest of each probe, int32 `[a, k]`.

  Of several processes each searches for a part of the probes.
  """
  gallery = search.Rows(embeddings, compared.gallery)
  mine = compared.probes[together.share(len(compared.probes))]
  probes = search.Rows(embeddings, mine)
  _, found = together.at_once(
    lambda: search.nearest(probes, gallery, k, metric, memory_gib),
    "search the gallery",
  )
  return together.joined_shares(found, len(compared.probes))


def _video_names(labels: embedded_lib.Labels) -> np.ndarray:
  """The names of HID's videos, str `[n]`; see `NearestSubject`."""
  unnamed = labels.views == "default"
  return np.where(unnamed, labels.conditions, labels.views)


def _line(cells: Sequence[str]) -> str:
  """A line of a CSV; a name with a comma in it is quoted."""
  text = io.StringIO()
  csv.writer(text, lineterminator="").writerow(cells)
  return text.getvalue()


def _check_names(names: np.ndarray) -> None:
  """Raises a UserError unless the names of the probes differ."""
  name, count = Counter(names.tolist()).most_common(1)[0]
  if count > 1:
    raise errors.UserError(
      f"{count} probes have the name {name!r}; the server needs one line a "
      "name: check the data set"
    )
