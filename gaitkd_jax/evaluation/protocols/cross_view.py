"""A gallery of all views, without the probe's subject in the probe's view."""

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
from gaitkd_jax.evaluation.protocols import retrieval
from gaitkd_jax.evaluation.protocols import single_view


@dataclasses.dataclass(frozen=True, kw_only=True)
class CrossViewGallery(protocol.ScoredProtocol):
  """Rank-k and mAP in a gallery of all views (Hou et al., T-BIOM 2022).

  Gallery items of the probe's subject and view are left out. Rank-k and
  mAP of each probe view, in percent rounded to two decimals as OpenGait does;
  then the mean over probe views. A probe without a match counts as an error in
  Rank-k and is left out of mAP.

  Probe views that have no gallery of another view are left out: data of only
  one view have no cross-view metric. So are, of mAP, probe views without a
  match. The mean of nothing is NaN.

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
    """By conditions; the probe's subject in the probe's view is excluded."""
    del options
    return probe_gallery.by_condition(
      self.conditions,
      labels.conditions,
      labels.views,
      probe_gallery.Excluded.SUBJECT_IN_VIEW,
    )

  def left_out(
    self,
    labels: embedded_lib.Labels,
    compared: Sequence[probe_gallery.ProbeGallery],
  ) -> list[left_out_lib.LeftOut]:
    """Missing conditions, views that have no other, and probes without mAP."""
    found = super().left_out(labels, compared)
    found += left_out_lib.missing_conditions(
      self.conditions, labels.conditions, compared
    )
    for one in compared:
      found += single_view.without_other_view(labels, one, "every figure")
      views = one.views_of(one.probes)
      gallery_views = np.unique(one.views_of(one.gallery))
      scored = np.array([np.any(gallery_views != view) for view in views])
      found += left_out_lib.without_match(labels, one, "mAP", scored)
      matched = ~left_out_lib.unmatched(labels, one) & scored
      lost = np.setdiff1d(views[scored], views[matched])
      if len(lost):
        found.append(
          left_out_lib.LeftOut.of(
            one.condition,
            lost,
            "probe view",
            "the mean of mAP over views",
            "none of their probes has a match",
          )
        )
    return found

  def rank(
    self,
    ranker: ranker_lib.Ranker,
    compared: probe_gallery.ProbeGallery,
  ) -> ranks_lib.Ranks:
    """The ranks of all matches that are left."""
    return ranks_lib.Ranks.of_matches(
      compared,
      ranker.all_matches(compared.probes, compared.gallery, compared.views),
    )

  def condition_metrics(
    self, ranks: ranks_lib.Ranks, reported_ranks: Sequence[int]
  ) -> list[metrics_lib.Metric]:
    """Rank-1 by probe view, and the means of Rank-k and mAP over them."""
    compared = ranks.compared
    first = ranks.first[:, 0]
    precision = np.array(
      [
        retrieval.average_precision(m) if len(m) else np.nan
        for m in ranks.matches
      ]
    )
    probe_views = compared.views_of(compared.probes)
    gallery_views = np.unique(compared.views_of(compared.gallery))
    by_view: dict[str, list[float]] = {f"rank{k}": [] for k in reported_ranks}
    by_view["mAP"] = []
    result = []
    for view in np.unique(probe_views).tolist():
      if np.all(gallery_views == view):
        continue
      of_view = probe_views == view
      for rank in reported_ranks:
        by_view[f"rank{rank}"].append(_percent(first[of_view] <= rank))
      if 1 in reported_ranks:
        result.append(
          metrics_lib.Metric(
            compared.condition, "rank1", by_view["rank1"][-1], view
          )
        )
      matched = of_view & ~np.isnan(precision)
      if matched.any():
        by_view["mAP"].append(_percent(precision[matched]))
    return result + [
      metrics_lib.Metric(compared.condition, name, single_view.mean(values))
      for name, values in by_view.items()
    ]


def _percent(values: np.ndarray) -> float:
  """The mean in percent, rounded as OpenGait's tables are."""
  return float(np.round(np.mean(values) * 100, 2))
