"""Galleries of all views together: GREW, CCPG."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

import numpy as np

from gaitkd_jax.evaluation import embedded as embedded_lib
from gaitkd_jax.evaluation import metrics as metrics_lib
from gaitkd_jax.evaluation.protocols import left_out as left_out_lib
from gaitkd_jax.evaluation.protocols import probe_gallery
from gaitkd_jax.evaluation.protocols import protocol
from gaitkd_jax.evaluation.protocols import ranker as ranker_lib
from gaitkd_jax.evaluation.protocols import ranks as ranks_lib
from gaitkd_jax.evaluation.protocols import single_view

_REIDENTIFICATION = "reid_"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PooledGallery(protocol.ScoredProtocol):
  """Rank-k in a gallery of all views, in percent rounded to two decimals.

  A probe whose subject is missing from the gallery counts as an error.

  Attributes:
    name: see `protocol.ScoredProtocol`.
    primary_metric: see there.
    reported_ranks: see there.
    conditions: who is probe and who is gallery, by the name of the result.
  """

  conditions: Mapping[str, probe_gallery.Conditions]

  def probe_galleries(
    self,
    labels: embedded_lib.Labels,
    options: Mapping[str, Any] = embedded_lib.NO_OPTIONS,
  ) -> list[probe_gallery.ProbeGallery]:
    """By conditions; nothing is excluded."""
    del options
    return probe_gallery.by_condition(self.conditions, labels.conditions)

  def left_out(
    self,
    labels: embedded_lib.Labels,
    compared: Sequence[probe_gallery.ProbeGallery],
  ) -> list[left_out_lib.LeftOut]:
    """Sequences without a role, and missing conditions."""
    return super().left_out(labels, compared) + left_out_lib.missing_conditions(
      self.conditions, labels.conditions, compared
    )

  def rank(
    self,
    ranker: ranker_lib.Ranker,
    compared: probe_gallery.ProbeGallery,
  ) -> ranks_lib.Ranks:
    """First ranks in the whole gallery."""
    first = ranker.first_matches(compared.probes, compared.gallery)
    return ranks_lib.Ranks(compared, first[:, None])

  def condition_metrics(
    self, ranks: ranks_lib.Ranks, reported_ranks: Sequence[int]
  ) -> list[metrics_lib.Metric]:
    """Rank-k."""
    first = ranks.first[:, 0]
    percent = {
      k: float(np.round(np.sum(first <= k) * 100 / len(first), 2))
      for k in reported_ranks
    }
    return [
      metrics_lib.Metric(ranks.compared.condition, f"rank{k}", value)
      for k, value in percent.items()
    ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClothChanging(protocol.ScoredProtocol):
  """CCPG's two protocols, side by side.

  The gait protocol (that of published tables) is `SingleViewGallery`'s:
  "rank1" leaves out identical views, "rank1_all_views" does not. The
  re-identification protocol searches all views at once without the gallery
  items of the probe's subject and view: "reid_rank1", "reid_mAP",
  "reid_mINP" (`retrieval_metrics`), often 5 to 10 points higher. A view is the
  camera, the text before "_".

  Attributes:
    name: see `protocol.ScoredProtocol`.
    primary_metric: see there.
    reported_ranks: see there; 1 is among them.
    conditions: who is probe and who is gallery, by the name of the result.
  """

  conditions: Mapping[str, probe_gallery.Conditions]

  def probe_galleries(
    self,
    labels: embedded_lib.Labels,
    options: Mapping[str, Any] = embedded_lib.NO_OPTIONS,
  ) -> list[probe_gallery.ProbeGallery]:
    """What the gait protocol compares: views are the cameras."""
    del options
    return probe_gallery.by_condition(
      self.conditions,
      labels.conditions,
      _cameras(labels.views),
      probe_gallery.Excluded.VIEW,
    )

  def left_out(
    self,
    labels: embedded_lib.Labels,
    compared: Sequence[probe_gallery.ProbeGallery],
  ) -> list[left_out_lib.LeftOut]:
    """Missing conditions and cameras; probes that Re-ID figures leave out."""
    found = super().left_out(labels, compared)
    found += left_out_lib.missing_conditions(
      self.conditions, labels.conditions, compared
    )
    for one in compared:
      found += single_view.missing_views(labels, one)
      found += left_out_lib.without_match(
        labels, one, f"all {_REIDENTIFICATION}* figures"
      )
    return found

  def rank(
    self,
    ranker: ranker_lib.Ranker,
    compared: probe_gallery.ProbeGallery,
  ) -> ranks_lib.Ranks:
    """First ranks by camera, and the ranks of all matches."""
    matches = ranker.all_matches(
      compared.probes, compared.gallery, compared.views
    )
    by_camera = single_view.rank_by_view(ranker, compared)
    return dataclasses.replace(by_camera, matches=matches)

  def condition_metrics(
    self, ranks: ranks_lib.Ranks, reported_ranks: Sequence[int]
  ) -> list[metrics_lib.Metric]:
    """Those of the gait protocol, then of the re-identification protocol."""
    found = retrieval_metrics(ranks.matches, reported_ranks)
    return single_view.by_view_metrics(ranks, reported_ranks) + [
      metrics_lib.Metric(
        ranks.compared.condition, f"{_REIDENTIFICATION}{name}", value
      )
      for name, value in found.items()
    ]

  def metrics(
    self,
    ranks: Sequence[ranks_lib.Ranks],
    reported_ranks: Sequence[int] | None = None,
  ) -> list[metrics_lib.Metric]:
    """Those of the gait protocol, of re-identification, and the means."""
    found = super().metrics(ranks, reported_ranks)

    def order(metric: metrics_lib.Metric) -> tuple[bool, bool]:
      return (
        metric.condition == metrics_lib.MEAN,
        metric.name.startswith(_REIDENTIFICATION),
      )

    return sorted(found, key=order)

  def view_pairs(self, ranks: ranks_lib.Ranks) -> protocol.ViewPairs:
    """Rank-1 of every pair of cameras, of the gait protocol."""
    return single_view.rank1_pairs(ranks)


def _cameras(views: np.ndarray) -> np.ndarray:
  """The cameras `[n]` of views such as "01_0"."""
  return np.array([view.partition("_")[0] for view in views])


def average_precision(matches: np.ndarray) -> float:
  """The mean precision at the matches, of their ranks: ascending, from 1."""
  return float(np.mean(np.arange(1, len(matches) + 1) / matches))


def retrieval_metrics(
  matches: Sequence[np.ndarray], reported_ranks: Sequence[int]
) -> dict[str, float]:
  """Rank-k, mean average precision and mean inverse negative penalty.

  AP is `average_precision`; INP is the number of matches over the rank of the
  last (Ye et al., "Deep Learning for Person Re-identification", 2021). Probes
  without a match are left out of all means.

  Args:
    matches: for each probe the ranks of its matches, ascending, from 1.
    reported_ranks: which Rank-k are wanted.

  Returns:
    "rank<k>", "mAP" and "mINP" in percent; empty if no probe has a match.
  """
  matches = [m for m in matches if len(m)]
  if not matches:
    return {}
  first = np.array([m[0] for m in matches])
  precision = [average_precision(m) for m in matches]
  penalty = [len(m) / m[-1] for m in matches]
  return {
    **{f"rank{k}": 100 * float(np.mean(first <= k)) for k in reported_ranks},
    "mAP": 100 * float(np.mean(precision)),
    "mINP": 100 * float(np.mean(penalty)),
  }
