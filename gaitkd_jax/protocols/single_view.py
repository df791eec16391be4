"""Every probe view against every gallery view (CASIA-B, OU-MVLP, ...)."""

from collections.abc import Mapping
import dataclasses

import numpy as np

from gaitkd_jax.protocols import ranks as ranks_lib
from gaitkd_jax.protocols import searches as searches_lib


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
  """

  searches: Mapping[str, searches_lib.Search]
  main_figure: str
  ranks: tuple[int, ...] = (1,)
  needs_probes = False

  def __call__(
    self,
    ranker: ranks_lib.Ranker,
    subjects: np.ndarray,
    conditions: np.ndarray,
    views: np.ndarray,
  ) -> dict[str, float]:
    """See `evaluate.evaluate_embeddings`."""
    found = searches_lib.find(self.searches, conditions)
    results = {}
    for name, (probes, gallery) in found.items():
      gallery_views = np.unique(views[gallery])
      first = np.stack(
        [
          ranker.first_matches(probes, gallery[views[gallery] == view])
          for view in gallery_views
        ],
        axis=1,
      )
      figures = _figures(first, self.ranks, views[probes], gallery_views)
      results |= {f"{name}/{k}": v for k, v in figures.items()}
    if self.main_figure.startswith("mean/"):
      results |= means(results)
    return results


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


def _figures(
  first: np.ndarray,
  ranks: tuple[int, ...],
  probe_views: np.ndarray,
  gallery_views: np.ndarray,
) -> dict[str, float]:
  """Averages ranks `[probes, gallery views]` as OpenGait's table does."""
  names = np.unique(probe_views)
  same = names[:, None] == gallery_views[None, :]
  table, results = {}, {}
  for rank in ranks:
    right = [first[probe_views == name] <= rank for name in names]
    table[rank] = np.stack(
      [np.round(r.sum(axis=0) * 100 / len(r), 2) for r in right]
    )
    by_view = {
      f"view/{name}": float(row[~own].mean())
      for name, row, own in zip(names, table[rank], same, strict=True)
      if not own.all()
    }
    if rank == 1:
      results |= by_view
    results[f"rank{rank}"] = _mean(list(by_view.values()))
  results["rank1_identical_view"] = _mean(table[1][same])
  results["rank1_all_views"] = _mean(table[1])
  return results


def _mean(values) -> float:
  """The mean; NaN of nothing."""
  return float(np.mean(values)) if np.size(values) else np.nan
