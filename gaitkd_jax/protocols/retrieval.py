"""Galleries of all views together: GREW, Gait3D, CCPG."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax.protocols import ranks as ranks_lib
from gaitkd_jax.protocols import searches as searches_lib
from gaitkd_jax.protocols import single_view


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
  needs_probes = False

  def __call__(
    self,
    ranker: ranks_lib.Ranker,
    subjects: np.ndarray,
    conditions: np.ndarray,
    views: np.ndarray,
  ) -> dict[str, float]:
    """See `evaluate.evaluate_embeddings`."""
    results = {}
    for name, (probes, gallery) in searches_lib.find(
      self.searches, conditions
    ).items():
      first = ranker.first_matches(probes, gallery)
      for rank in self.ranks:
        right = np.sum(first <= rank)
        results[f"{name}/rank{rank}"] = float(
          np.round(right * 100 / len(probes), 2)
        )
    return results


@dataclasses.dataclass(frozen=True)
class ProbeList:
  """Probes given by name; the gallery is all the rest, of all views.

  Rank-k, mAP and mINP as `retrieval_figures`.

  Attributes:
    main_figure: the result by which checkpoints are compared.
    ranks: which Rank-k to report.
  """

  main_figure: str
  ranks: tuple[int, ...]
  needs_probes = True

  def __call__(
    self,
    ranker: ranks_lib.Ranker,
    subjects: np.ndarray,
    conditions: np.ndarray,
    views: np.ndarray,
    probes: Sequence[str] | None = None,
  ) -> dict[str, float]:
    """See `evaluate.evaluate_embeddings`."""
    if probes is None or isinstance(probes, str) or not len(probes):
      raise errors.UserError(
        "the protocol needs the list of its probes; give "
        'probes=["<subject>-<condition>-<view>", ...]'
      )
    names = np.array(
      [
        "-".join(labels)
        for labels in zip(subjects, conditions, views, strict=True)
      ]
    )
    probes = np.array(list(probes)).astype(str)
    absent = probes[~np.isin(probes, names)]
    if len(absent):
      raise errors.UserError(
        f"{len(absent)} of {len(probes)} probes are not among the "
        f"{len(names)} sequences, the first {absent[0]}; check the probe list "
        "and the data set"
      )
    chosen = np.isin(names, probes)
    if chosen.all():
      raise errors.UserError(
        f"all {len(names)} sequences are probes and none is left for the "
        "gallery; check the probe list"
      )
    figures = retrieval_figures(
      ranker.all_matches(np.flatnonzero(chosen), np.flatnonzero(~chosen)),
      self.ranks,
    )
    if not figures:
      raise errors.UserError(
        f"none of the {len(probes)} probes has its subject in the gallery; "
        "check the probe list and the data set"
      )
    return {f"all/{k}": v for k, v in figures.items()}


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
  """

  searches: Mapping[str, searches_lib.Search]
  main_figure: str
  needs_probes = False

  def __call__(
    self,
    ranker: ranks_lib.Ranker,
    subjects: np.ndarray,
    conditions: np.ndarray,
    views: np.ndarray,
  ) -> dict[str, float]:
    """See `evaluate.evaluate_embeddings`."""
    cameras = np.array([view.partition("_")[0] for view in views])
    gait = single_view.SingleViewGallery(self.searches, main_figure="")
    results = gait(ranker, subjects, conditions, cameras)
    for name, rows in searches_lib.find(self.searches, conditions).items():
      figures = retrieval_figures(ranker.all_matches(*rows, cameras), (1,))
      results |= {f"{name}/reid_{k}": v for k, v in figures.items()}
    return results | single_view.means(results)


def retrieval_figures(
  matches: Sequence[np.ndarray], ranks: tuple[int, ...]
) -> dict[str, float]:
  """Rank-k, mean average precision and mean inverse negative penalty.

  AP is the mean precision at the matches; INP is the number of matches over
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
  precision = [np.mean(np.arange(1, len(m) + 1) / m) for m in matches]
  penalty = [len(m) / m[-1] for m in matches]
  return {
    **{f"rank{k}": 100 * float(np.mean(first <= k)) for k in ranks},
    "mAP": 100 * float(np.mean(precision)),
    "mINP": 100 * float(np.mean(penalty)),
  }
