"""Galleries of all views together: GREW, CCPG."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses

import numpy as np

from gaitkd_jax.evaluation.protocols import ranks as ranks_lib
from gaitkd_jax.evaluation.protocols import searches as searches_lib
from gaitkd_jax.evaluation.protocols import single_view


@dataclasses.dataclass(frozen=True)
class PooledGallery:
  """Rank-k in a gallery of all views, in percent rounded to two decimals.

  A probe whose subject is missing from the gallery counts as an error.

  Attributes:
    searches: by the name of the result.
    main_figure: the result by which checkpoints are compared.
    ranks: which Rank-k to report.
  """

  searches: Mapping[str, searches_lib.Search]
  main_figure: str
  ranks: tuple[int, ...]
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
      first = ranker.first_matches(trial.probes, trial.gallery)
      for rank in self.ranks:
        right = np.sum(first <= rank)
        results[f"{trial.name}/rank{rank}"] = float(
          np.round(right * 100 / len(first), 2)
        )
    return results

  def trials(
    self, subjects: np.ndarray, conditions: np.ndarray, views: np.ndarray
  ) -> list[searches_lib.Trial]:
    """What is compared: nothing is excluded.

    Args:
      subjects: str `[n]`.
      conditions: str `[n]`.
      views: str `[n]`.

    Raises:
      errors.UserError: no search has both probes and a gallery.
    """
    del subjects, views
    found = searches_lib.find(self.searches, conditions)
    return [searches_lib.Trial(name, *rows) for name, rows in found.items()]


@dataclasses.dataclass(frozen=True)
class ClothChanging:
  """CCPG's two protocols, side by side.

  The gait protocol (that of published tables) is `SingleViewGallery`'s:
  "rank1" leaves out identical views, "rank1_all_views" does not. The
  re-identification protocol searches all views at once without the gallery
  items of the probe's own subject and view: "reid_rank1", "reid_mAP",
  "reid_mINP" (`retrieval_figures`), often 5 to 10 points higher. A view is the
  camera, the text before "_".

  Attributes:
    searches: by the name of the result.
    main_figure: the result by which checkpoints are compared.
    ranks: which Rank-k to report, 1 among them.
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
    cameras = _cameras(views)
    results = self._gait()(ranker, subjects, conditions, cameras)
    for trial in self.trials(subjects, conditions, views):
      figures = retrieval_figures(
        ranker.all_matches(trial.probes, trial.gallery, cameras), self.ranks
      )
      results |= {f"{trial.name}/reid_{k}": v for k, v in figures.items()}
    return results | single_view.means(results)

  def trials(
    self, subjects: np.ndarray, conditions: np.ndarray, views: np.ndarray
  ) -> list[searches_lib.Trial]:
    """What the gait protocol compares: identical cameras are excluded.

    See `SingleViewGallery.trials`; `views` of the trials are the cameras.
    """
    return self._gait().trials(subjects, conditions, _cameras(views))

  def pairs(
    self,
    ranker: ranks_lib.Ranker,
    subjects: np.ndarray,
    conditions: np.ndarray,
    views: np.ndarray,
  ) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """`SingleViewGallery.pairs` of the cameras."""
    return self._gait().pairs(ranker, subjects, conditions, _cameras(views))

  def _gait(self) -> single_view.SingleViewGallery:
    """The gait protocol, without means."""
    return single_view.SingleViewGallery(
      self.searches, main_figure="", ranks=self.ranks
    )


def _cameras(views: np.ndarray) -> np.ndarray:
  """The cameras `[n]` of views such as "01_0"."""
  return np.array([view.partition("_")[0] for view in views])


def average_precision(matches: np.ndarray) -> float:
  """The mean precision at the matches, of their ranks: ascending, from 1."""
  return float(np.mean(np.arange(1, len(matches) + 1) / matches))


def retrieval_figures(
  matches: Sequence[np.ndarray], ranks: Sequence[int]
) -> dict[str, float]:
  """Rank-k, mean average precision and mean inverse negative penalty.

  AP is `average_precision`; INP is the number of matches over
  the rank of the last (Ye et al., "Deep Learning for Person Re-identification",
  2021). Probes without a match are left out of all means.

  Args:
    matches: for each probe the ranks of its matches, ascending, from 1.
    ranks: which Rank-k to report.

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
    **{f"rank{k}": 100 * float(np.mean(first <= k)) for k in ranks},
    "mAP": 100 * float(np.mean(precision)),
    "mINP": 100 * float(np.mean(penalty)),
  }
