"""Who is probe and who is gallery."""

from collections.abc import Mapping
import dataclasses
import enum
from typing import Any

import numpy as np

from gaitkd_jax import errors


class Excluded(enum.Enum):
  """The gallery items that a probe is not compared with."""

  NOTHING = "nothing"
  # Everything that is seen from the probe's view.
  VIEW = "view"
  # The subject of the probe, seen from the probe's view.
  SUBJECT_IN_VIEW = "subject in view"

  def pairs(self, same_subject: Any, same_view: Any) -> Any:
    """Which pairs of a probe and a gallery item are excluded.

    Args:
      same_subject: bool `[a, b]`, NumPy's or JAX's.
      same_view: likewise.
    """
    if self is Excluded.VIEW:
      return same_view
    if self is Excluded.SUBJECT_IN_VIEW:
      return same_view & same_subject
    return same_view & False


@dataclasses.dataclass(frozen=True)
class Conditions:
  """Which walking conditions are probes, and which are the gallery.

  Attributes:
    probes: conditions of the probes.
    gallery: conditions of the gallery.
    by_substring: a condition need only contain one of the names.
  """

  probes: tuple[str, ...]
  gallery: tuple[str, ...]
  by_substring: bool = False

  def rows(self, conditions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the probes and of the gallery in str `[n]`."""
    return (
      self._find(conditions, self.probes),
      self._find(conditions, self.gallery),
    )

  def _find(self, conditions: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    if self.by_substring:
      found = [np.char.find(conditions, name) >= 0 for name in names]
      return np.flatnonzero(np.any(found, axis=0))
    return np.flatnonzero(np.isin(conditions, names))


@dataclasses.dataclass(frozen=True, eq=False)
class ProbeGallery:
  """The probes of one condition, and the gallery they are compared with.

  Attributes:
    condition: the name of the result, such as "NM" or "all".
    probes: int `[a]`, rows of the set.
    gallery: int `[b]`, rows of the set.
    views: str `[n]`, of the whole set; None if views do not matter.
    excluded: gallery items that a probe is not compared with; anything but
      nothing needs `views`.
  """

  condition: str
  probes: np.ndarray
  gallery: np.ndarray
  views: np.ndarray | None = None
  excluded: Excluded = Excluded.NOTHING

  def views_of(self, rows: np.ndarray) -> np.ndarray:
    """The views of some rows.

    Raises:
      ValueError: there are none.
    """
    if self.views is None:
      raise ValueError(f"the sequences of {self.condition} have no views")
    return self.views[rows]

  def view_codes(self) -> np.ndarray | None:
    """Views as int32 `[n]`, from 0; None if there are none."""
    if self.views is None:
      return None
    return np.unique(self.views, return_inverse=True)[1].astype(np.int32)


def by_condition(
  groups: Mapping[str, Conditions],
  conditions: np.ndarray,
  views: np.ndarray | None = None,
  excluded: Excluded = Excluded.NOTHING,
) -> list[ProbeGallery]:
  """The probes and the gallery of every group that has both.

  Args:
    groups: by the name of the result.
    conditions: str `[n]`.
    views: see `ProbeGallery`.
    excluded: see there.

  Raises:
    errors.UserError: no group has both.
  """
  rows = {name: group.rows(conditions) for name, group in groups.items()}
  found = [
    ProbeGallery(name, probes, gallery, views, excluded)
    for name, (probes, gallery) in rows.items()
    if len(probes) and len(gallery)
  ]
  if found:
    return found
  for i, role in enumerate(("probe", "gallery")):
    if not any(len(both[i]) for both in rows.values()):
      wanted = dict.fromkeys(
        condition
        for group in groups.values()
        for condition in (group.probes, group.gallery)[i]
      )
      raise errors.UserError(
        f"no sequence has a {role} condition ({', '.join(wanted)}); check the "
        "data set and eval.protocol"
      )
  raise errors.UserError(
    f"none of {', '.join(groups)} has both probes and a gallery; check the "
    "data set and eval.protocol"
  )
