"""A gallery of all views, without the probe's own subject in its own view."""

from collections.abc import Mapping
import dataclasses

import numpy as np

from gaitkd_jax.evaluation.protocols import ranks as ranks_lib
from gaitkd_jax.evaluation.protocols import retrieval
from gaitkd_jax.evaluation.protocols import searches as searches_lib
from gaitkd_jax.evaluation.protocols import single_view


@dataclasses.dataclass(frozen=True)
class CrossViewGallery:
  """Rank-k and mAP in a gallery of all views (Hou et al., T-BIOM 2022).

  Gallery items of the probe's own subject and view are left out. Rank-k and
  mAP of each probe view, in percent rounded to two decimals as OpenGait does;
  then the mean over probe views. A probe without a match counts as an error in
  Rank-k and is left out of mAP.

  Probe views that have no gallery of another view are left out: data of one
  view have no cross-view figure. So are, of mAP, probe views without a match.
  Nothing left is NaN.

  Attributes:
    searches: by the name of the result.
    main_figure: the result by which checkpoints are compared. If it is a
      "mean/...", the means over the searches are reported.
    ranks: which Rank-k to report.
  """

  searches: Mapping[str, searches_lib.Search]
  main_figure: str
  ranks: tuple[int, ...] = (1,)
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
      figures = self._figures(ranker, trial)
      results |= {f"{trial.name}/{k}": v for k, v in figures.items()}
    if self.main_figure.startswith("mean/"):
      results |= single_view.means(results)
    return results

  def trials(
    self, subjects: np.ndarray, conditions: np.ndarray, views: np.ndarray
  ) -> list[searches_lib.Trial]:
    """What is compared: the probe's own subject and view is excluded.

    Args:
      subjects: str `[n]`.
      conditions: str `[n]`.
      views: str `[n]`.

    Raises:
      errors.UserError: no search has both probes and a gallery.
    """
    del subjects
    found = searches_lib.find(self.searches, conditions)
    return [
      searches_lib.Trial(name, *rows, views, "own_view")
      for name, rows in found.items()
    ]

  def _figures(
    self, ranker: ranks_lib.Ranker, trial: searches_lib.Trial
  ) -> dict[str, float]:
    """The figures of one search."""
    matches = ranker.all_matches(trial.probes, trial.gallery, trial.views)
    first = np.array([m[0] if len(m) else ranks_lib.ABSENT for m in matches])
    precision = np.array(
      [retrieval.average_precision(m) if len(m) else np.nan for m in matches]
    )
    probe_views = trial.views[trial.probes]
    gallery_views = np.unique(trial.views[trial.gallery])
    cells = {f"rank{rank}": [] for rank in self.ranks} | {"mAP": []}
    results = {}
    for view in np.unique(probe_views):
      if np.all(gallery_views == view):
        continue
      own = probe_views == view
      for rank in self.ranks:
        cells[f"rank{rank}"].append(_percent(first[own] <= rank))
      if 1 in self.ranks:
        results[f"view/{view}"] = cells["rank1"][-1]
      found = own & ~np.isnan(precision)
      if found.any():
        cells["mAP"].append(_percent(precision[found]))
    return results | {k: single_view.mean(v) for k, v in cells.items()}


def _percent(values: np.ndarray) -> float:
  """The mean in percent, rounded as OpenGait's tables are."""
  return float(np.round(np.mean(values) * 100, 2))
