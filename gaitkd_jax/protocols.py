"""Who is probe, who is gallery, and what is averaged."""

from collections.abc import Mapping
import dataclasses

import numpy as np

from gaitkd_jax import distances
from gaitkd_jax import errors


@dataclasses.dataclass(frozen=True)
class SingleViewGallery:
  """Every probe view is searched in every gallery view on its own.

  Rank-1 of each pair of views, in percent rounded to two decimals as OpenGait
  does; then per probe view the mean over the gallery views other than its own;
  then the mean over probe views. A probe whose subject is missing from that
  gallery counts as an error.

  Attributes:
    gallery: conditions of the gallery.
    probes: conditions of the probes, by the name of the result.
  """

  gallery: tuple[str, ...]
  probes: Mapping[str, tuple[str, ...]]

  @property
  def main_figure(self) -> str:
    """The result by which checkpoints are compared."""
    return "mean/rank1"

  def __call__(
    self,
    embeddings: np.ndarray,
    subjects: np.ndarray,
    conditions: np.ndarray,
    views: np.ndarray,
    metric: str,
  ) -> dict[str, float]:
    """See `evaluate.evaluate_embeddings`."""
    in_gallery = np.isin(conditions, self.gallery)
    if not in_gallery.any():
      raise errors.UserError(
        f"no sequence has a gallery condition ({', '.join(self.gallery)}); "
        "check the data set and eval.protocol"
      )
    gallery_subjects = subjects[in_gallery]
    gallery_views = views[in_gallery]
    all_views = np.unique(gallery_views)
    results = {}
    for name, probe_conditions in self.probes.items():
      chosen = np.isin(conditions, probe_conditions)
      if not chosen.any():
        continue
      distance = distances.part_distances(
        embeddings[chosen], embeddings[in_gallery], metric
      )
      # right[i, v]: probe i finds its subject in gallery view v.
      right = np.stack(
        [
          _nearest(distance, gallery_subjects, gallery_views == view)
          == subjects[chosen]
          for view in all_views
        ],
        axis=1,
      )
      results |= _by_view(name, right, views[chosen], all_views)
    if not results:
      raise errors.UserError(
        "no sequence has a probe condition "
        f"({', '.join(c for p in self.probes.values() for c in p)}); check the "
        "data set and eval.protocol"
      )
    for key in ("rank1", "rank1_identical_view"):
      values = [v for k, v in results.items() if k.endswith(f"/{key}")]
      results[f"mean/{key}"] = float(np.mean(values))
    return results


PROTOCOLS = {
  "casiab": SingleViewGallery(
    gallery=("nm-01", "nm-02", "nm-03", "nm-04"),
    probes={
      "NM": ("nm-05", "nm-06"),
      "BG": ("bg-01", "bg-02"),
      "CL": ("cl-01", "cl-02"),
    },
  ),
}


def _nearest(
  distance: np.ndarray, subjects: np.ndarray, mask: np.ndarray
) -> np.ndarray:
  """The subject nearest to each probe; the first of equals."""
  return subjects[mask][np.argmin(distance[:, mask], axis=1)]


def _by_view(
  name: str, right: np.ndarray, probe_views: np.ndarray, all_views: np.ndarray
) -> dict[str, float]:
  """Averages hits `[probes, gallery views]` as OpenGait's table does."""
  without, identical, results = [], [], {}
  for view in np.unique(probe_views):
    rank1 = np.round(100.0 * right[probe_views == view].mean(axis=0), 2)
    same = all_views == view
    if same.any():
      identical.append(rank1[same].item())
    if not same.all():
      results[f"{name}/view/{view}"] = float(rank1[~same].mean())
      without.append(results[f"{name}/view/{view}"])
  # With one view only there is no cross-view figure: NaN, never a guess.
  results[f"{name}/rank1"] = float(np.mean(without)) if without else np.nan
  results[f"{name}/rank1_identical_view"] = (
    float(np.mean(identical)) if identical else np.nan
  )
  return results
