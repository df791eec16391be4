"""Every probe view against every gallery view (CASIA-B, OU-MVLP, ...)."""

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class SingleViewGallery(protocol.ScoredProtocol):
  """Every pair of a probe view and a gallery view is ranked separately.

  Rank-k of each pair of views, in percent rounded to two decimals as OpenGait
  does; then per probe view the mean over the gallery views other than its own;
  then the mean over probe views. A probe whose subject is missing from that
  gallery view counts as an error.

  Pairs of views without a probe or without a gallery are left out of the means
  (OpenGait divides by zero); so are whole conditions. Data of only one view
  have no cross-view metric: it is NaN, never a guess.

  Attributes:
    name: see `protocol.ScoredProtocol`.
    primary_metric: see there.
    reported_ranks: see there; 1 is among them.
    conditions: who is probe and who is gallery, by the name of the result.
    dropped_views: views that are neither probe nor gallery.
  """

  conditions: Mapping[str, probe_gallery.Conditions]
  dropped_views: tuple[str, ...] = ()

  def probe_galleries(
    self,
    labels: embedded_lib.Labels,
    options: Mapping[str, Any] = embedded_lib.NO_OPTIONS,
  ) -> list[probe_gallery.ProbeGallery]:
    """By conditions; what is seen from the probe's view is excluded."""
    del options
    return probe_gallery.by_condition(
      self.conditions,
      np.where(self._dropped(labels), "", labels.conditions),
      labels.views,
      probe_gallery.Excluded.VIEW,
    )

  def left_out(
    self,
    labels: embedded_lib.Labels,
    compared: Sequence[probe_gallery.ProbeGallery],
  ) -> list[left_out_lib.LeftOut]:
    """Dropped views, missing conditions and missing pairs of views."""
    dropped = self._dropped(labels)
    found = left_out_lib.of_no_role(labels, compared, self.no_role, ~dropped)
    views = ", ".join(self.dropped_views)
    found += left_out_lib.of_no_role(
      labels, compared, f"the protocol drops view {views}", dropped
    )
    found += left_out_lib.missing_conditions(
      self.conditions, np.where(dropped, "", labels.conditions), compared
    )
    for one in compared:
      found += missing_views(labels, one)
    return found

  def _dropped(self, labels: embedded_lib.Labels) -> np.ndarray:
    """Which sequences are seen from a view that does not count: bool `[n]`."""
    return np.isin(labels.views, self.dropped_views)

  def rank(
    self,
    ranker: ranker_lib.Ranker,
    compared: probe_gallery.ProbeGallery,
  ) -> ranks_lib.Ranks:
    """First ranks in each view of the gallery."""
    return rank_by_view(ranker, compared)

  def condition_metrics(
    self, ranks: ranks_lib.Ranks, reported_ranks: Sequence[int]
  ) -> list[metrics_lib.Metric]:
    """Rank-1 by view, Rank-k, and Rank-1 of identical and of all views."""
    return by_view_metrics(ranks, reported_ranks)

  def view_pairs(self, ranks: ranks_lib.Ranks) -> protocol.ViewPairs:
    """Rank-1 of every pair of views."""
    return rank1_pairs(ranks)


def missing_views(
  labels: embedded_lib.Labels, compared: probe_gallery.ProbeGallery
) -> list[left_out_lib.LeftOut]:
  """Pairs of views that are in no mean, since one of them is not there."""
  probe_views, gallery_views = (
    set(compared.views_of(rows).tolist())
    for rows in (compared.probes, compared.gallery)
  )
  found = without_other_view(
    labels, compared, "every figure but those of identical and of all views"
  )
  every = probe_views | gallery_views
  for role, views, others in (
    ("probe", probe_views, every),
    ("gallery sequence", gallery_views, probe_views),
  ):
    missing = sorted(every - views)
    pairs = sum(len(others - {view}) for view in missing)
    if not pairs:
      continue
    found.append(
      left_out_lib.LeftOut(
        compared.condition,
        pairs,
        "pair of views",
        "the means over views",
        f"no {role} is seen from {', '.join(missing)}",
      )
    )
  return found


def without_other_view(
  labels: embedded_lib.Labels,
  compared: probe_gallery.ProbeGallery,
  figures: str,
) -> list[left_out_lib.LeftOut]:
  """Probes whose view is the only one of the gallery.

  Args:
    labels: of the whole set.
    compared: the probes and the gallery.
    figures: that say nothing of them.
  """
  gallery_views = np.unique(compared.views_of(compared.gallery))
  if len(gallery_views) > 1:
    return []
  alone = compared.views_of(compared.probes) == gallery_views[0]
  if not alone.any():
    return []
  return [
    left_out_lib.LeftOut.of(
      compared.condition,
      labels[compared.probes[alone]].names,
      "probe",
      figures,
      f"all of the gallery is seen from their view, {gallery_views[0]}",
    )
  ]


def rank_by_view(
  ranker: ranker_lib.Ranker, compared: probe_gallery.ProbeGallery
) -> ranks_lib.Ranks:
  """Ranks each view of the gallery separately."""
  view_of_item = compared.views_of(compared.gallery)
  first, gallery_views = ranker.first_matches_by_view(
    compared.probes, compared.gallery, view_of_item
  )
  return ranks_lib.Ranks(compared, first, gallery_views)


def rank1_pairs(ranks: ranks_lib.Ranks) -> protocol.ViewPairs:
  """Rank-1 of every pair of views; the ranks are those of `rank_by_view`."""
  return protocol.ViewPairs(
    ranks.compared.condition,
    np.unique(_probe_views(ranks)),
    _gallery_views(ranks),
    _found(ranks, 1),
  )


def by_view_metrics(
  ranks: ranks_lib.Ranks, reported_ranks: Sequence[int]
) -> list[metrics_lib.Metric]:
  """Averages ranks as OpenGait's table does.

  Args:
    ranks: of `rank_by_view`.
    reported_ranks: which Rank-k are wanted, 1 among them.

  Returns:
    "rank1" of each probe view that has a gallery of another view; "rank<k>",
    the means of these; "rank1_identical_view" and "rank1_all_views".
  """
  probe_views = np.unique(_probe_views(ranks))
  same_view = probe_views[:, None] == _gallery_views(ranks)[None, :]
  result = []

  def add(name: str, value: float, view: str | None = None) -> None:
    result.append(
      metrics_lib.Metric(ranks.compared.condition, name, value, view)
    )

  for rank in reported_ranks:
    found = _found(ranks, rank)
    by_view = {
      str(view): float(row[~same].mean())
      for view, row, same in zip(probe_views, found, same_view, strict=True)
      if not same.all()
    }
    if rank == 1:
      for view, value in by_view.items():
        add("rank1", value, view)
    add(f"rank{rank}", mean(list(by_view.values())))
  found = _found(ranks, 1)
  add("rank1_identical_view", mean(found[same_view]))
  add("rank1_all_views", mean(found))
  return result


def _probe_views(ranks: ranks_lib.Ranks) -> np.ndarray:
  """The view of each probe, str `[a]`."""
  return ranks.compared.views_of(ranks.compared.probes)


def _gallery_views(ranks: ranks_lib.Ranks) -> np.ndarray:
  """The views of the gallery, str `[w]`.

  Raises:
    ValueError: the gallery was searched as a whole.
  """
  if ranks.gallery_views is None:
    raise ValueError("these ranks are of a gallery of all views")
  return ranks.gallery_views


def _found(ranks: ranks_lib.Ranks, rank: int) -> np.ndarray:
  """Rank-k by probe and gallery view, `[v, w]`: percent, two decimals."""
  right = ranks.first <= rank
  views = _probe_views(ranks)
  rows = [right[views == view] for view in np.unique(views)]
  return np.stack([np.round(r.sum(axis=0) * 100 / len(r), 2) for r in rows])


def mean(values: Sequence[float] | np.ndarray) -> float:
  """The mean; NaN of nothing."""
  return float(np.mean(values)) if np.size(values) else np.nan
