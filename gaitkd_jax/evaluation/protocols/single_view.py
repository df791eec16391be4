"""Every probe view against every gallery view (CASIA-B, OU-MVLP, ...)."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses

import numpy as np

from gaitkd_jax.evaluation.protocols import ranks as ranks_lib
from gaitkd_jax.evaluation.protocols import searches as searches_lib


@dataclasses.dataclass(frozen=True)
class SingleViewGallery:
  """Every probe view is searched in every gallery view on its own.

  Rank-k of each pair of views, in percent rounded to two decimals as OpenGait
  does; then per probe view the mean over the gallery views other than its own;
  then the mean over probe views. A probe whose subject is missing from that
  gallery view counts as an error.

  Pairs of views without a probe or without a gallery are left out of the means
  (OpenGait divides by zero); so are whole searches. Only data of one view have
  no cross-view figure: it is NaN, never a guess.

  Attributes:
    searches: by the name of the result.
    main_figure: the result by which checkpoints are compared. If it is a
      "mean/...", the means over the searches are reported.
    ranks: which Rank-k to report, 1 among them.
    dropped_views: views that are neither probe nor gallery.
  """

  searches: Mapping[str, searches_lib.Search]
  main_figure: str
  ranks: tuple[int, ...] = (1,)
  dropped_views: tuple[str, ...] = ()
  options = ()

  def __call__(
    self,
    ranker: ranks_lib.Ranker,
    subjects: np.ndarray,
    conditions: np.ndarray,
    views: np.ndarray,
  ) -> dict[str, float]:
    """See `evaluate.evaluate_embeddings`."""
    results = {}
    for trial in self.trials(subjects, conditions, views):
      first, gallery_views = _first_matches(ranker, trial)
      figures = _figures(first, self.ranks, views[trial.probes], gallery_views)
      results |= {f"{trial.name}/{k}": v for k, v in figures.items()}
    if self.main_figure.startswith("mean/"):
      results |= means(results)
    return results

  def trials(
    self, subjects: np.ndarray, conditions: np.ndarray, views: np.ndarray
  ) -> list[searches_lib.Trial]:
    """What is compared: identical views are excluded.

    Args:
      subjects: str `[n]`.
      conditions: str `[n]`.
      views: str `[n]`.

    Raises:
      errors.UserError: no search has both probes and a gallery.
    """
    del subjects
    if self.dropped_views:
      dropped = np.isin(views, self.dropped_views)
      conditions = np.where(dropped, "", conditions)
    return [
      searches_lib.Trial(name, probes, gallery, views, "view")
      for name, (probes, gallery) in searches_lib.find(
        self.searches, conditions
      ).items()
    ]

  def pairs(
    self,
    ranker: ranks_lib.Ranker,
    subjects: np.ndarray,
    conditions: np.ndarray,
    views: np.ndarray,
  ) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Rank-1 of every pair of views.

    Args:
      ranker: of the set.
      subjects: str `[n]`.
      conditions: str `[n]`.
      views: str `[n]`.

    Returns:
      By name: probe views `[v]`, gallery views `[w]`, Rank-1 `[v, w]` in
      percent rounded to two decimals. All three have only the views there are;
      a cell that is missing nevertheless is NaN.

    Raises:
      errors.UserError: no search has both probes and a gallery.
    """
    result = {}
    for trial in self.trials(subjects, conditions, views):
      first, gallery_views = _first_matches(ranker, trial)
      names, table = _table(first <= 1, views[trial.probes])
      result[trial.name] = names, gallery_views, table
    return result


def means(results: Mapping[str, float]) -> dict[str, float]:
  """The mean over searches of every figure but those of one view."""
  figures = dict.fromkeys(
    k.partition("/")[2] for k in results if "/view/" not in k
  )
  return {
    f"mean/{figure}": float(
      np.mean([v for k, v in results.items() if k.partition("/")[2] == figure])
    )
    for figure in figures
  }


def mean(values: Sequence[float] | np.ndarray) -> float:
  """The mean; NaN of nothing."""
  return float(np.mean(values)) if np.size(values) else np.nan


def _first_matches(
  ranker: ranks_lib.Ranker, trial: searches_lib.Trial
) -> tuple[np.ndarray, np.ndarray]:
  """The first ranks in each gallery view `[probes, w]`, and those views."""
  by_row = trial.views[trial.gallery]
  gallery_views = np.unique(by_row)
  first = [
    ranker.first_matches(trial.probes, trial.gallery[by_row == view])
    for view in gallery_views
  ]
  return np.stack(first, axis=1), gallery_views


def _table(
  right: np.ndarray, probe_views: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Probe views `[v]` and, of bool `[probes, w]`, rounded percent `[v, w]`."""
  names = np.unique(probe_views)
  rows = [right[probe_views == name] for name in names]
  table = [np.round(r.sum(axis=0) * 100 / len(r), 2) for r in rows]
  return names, np.stack(table)


def _figures(
  first: np.ndarray,
  ranks: Sequence[int],
  probe_views: np.ndarray,
  gallery_views: np.ndarray,
) -> dict[str, float]:
  """Averages ranks `[probes, gallery views]` as OpenGait's table does."""
  tables, results = {}, {}
  for rank in ranks:
    names, tables[rank] = _table(first <= rank, probe_views)
    same = names[:, None] == gallery_views[None, :]
    by_view = {
      f"view/{name}": float(row[~own].mean())
      for name, row, own in zip(names, tables[rank], same, strict=True)
      if not own.all()
    }
    if rank == 1:
      results |= by_view
    results[f"rank{rank}"] = mean(list(by_view.values()))
  results["rank1_identical_view"] = mean(tables[1][same])
  results["rank1_all_views"] = mean(tables[1])
  return results
