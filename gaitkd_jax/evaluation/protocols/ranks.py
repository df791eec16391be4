"""Ranks of gallery items: what every metric is read from."""

from collections.abc import Sequence
import dataclasses

import numpy as np

from gaitkd_jax.evaluation.protocols import probe_gallery

# The rank of a subject who is not in the gallery: beyond every rank.
ABSENT = int(np.iinfo(np.int32).max)


@dataclasses.dataclass(frozen=True, eq=False)
class Ranks:
  """The ranks at which the probes of one condition find their subjects.

  Attributes:
    compared: the probes and the gallery.
    first: int32 `[a, w]`, the rank of the nearest right item of each probe in
      each of w galleries, from 1; `ABSENT` where there is no right item.
    gallery_views: str `[w]`: each view of the gallery is ranked separately;
      None: the gallery is ranked as a whole (w is 1).
    matches: for each probe the ranks of all its right items in the whole
      gallery, ascending; empty if the protocol has no use for them.
  """

  compared: probe_gallery.ProbeGallery
  first: np.ndarray
  gallery_views: np.ndarray | None = None
  matches: Sequence[np.ndarray] = ()

  @classmethod
  def of_matches(
    cls, compared: probe_gallery.ProbeGallery, matches: Sequence[np.ndarray]
  ) -> "Ranks":
    """Makes ranks of what `ranker.Ranker.all_matches` found."""
    first = [ranks[0] if len(ranks) else ABSENT for ranks in matches]
    return cls(compared, np.array(first, np.int32)[:, None], None, matches)

  @property
  def of_whole_gallery(self) -> np.ndarray | None:
    """First ranks in the whole gallery, int32 `[a]`; None if ranked by view."""
    return self.first[:, 0] if self.gallery_views is None else None
