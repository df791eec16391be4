"""Which conditions are searched in which."""

from collections.abc import Mapping
import dataclasses

import numpy as np

from gaitkd_jax import errors


@dataclasses.dataclass(frozen=True)
class Search:
  """Probe and gallery conditions of one result.

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
    return self._find(conditions, self.probes), self._find(
      conditions, self.gallery
    )

  def _find(self, conditions: np.ndarray, names: tuple[str, ...]):
    if self.by_substring:
      found = [np.char.find(conditions, name) >= 0 for name in names]
      return np.flatnonzero(np.any(found, axis=0))
    return np.flatnonzero(np.isin(conditions, names))


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
  """What is compared with what in one search, whatever is averaged after.

  Attributes:
    name: of the result.
    probes: int `[a]`, rows.
    gallery: int `[b]`, rows.
    views: str `[n]`, of all rows; None if nothing is excluded.
    excluded: the gallery items that a probe is not compared with: "" (none),
      "own_view" (its own subject seen from its view) or "view" (everything seen
      from its view).
  """

  name: str
  probes: np.ndarray
  gallery: np.ndarray
  views: np.ndarray | None = None
  excluded: str = ""


def names_of(
  subjects: np.ndarray, conditions: np.ndarray, views: np.ndarray
) -> np.ndarray:
  """The names of sequences, "<subject>-<condition>-<view>": str `[n]`."""
  labels = zip(subjects, conditions, views, strict=True)
  return np.array(["-".join(label) for label in labels], dtype=str)


def find(
  searches: Mapping[str, Search], conditions: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  """The rows of the probes and of the gallery of each search.

  Args:
    searches: by the name of the result.
    conditions: str `[n]`.

  Returns:
    By name, (probes, gallery); without those that lack one of the two.

  Raises:
    errors.UserError: none is left.
  """
  rows = {name: s.rows(conditions) for name, s in searches.items()}
  found = {k: v for k, v in rows.items() if len(v[0]) and len(v[1])}
  if found:
    return found
  for i, (word, names) in enumerate(
    (
      ("probe", [s.probes for s in searches.values()]),
      ("gallery", [s.gallery for s in searches.values()]),
    )
  ):
    if not any(len(v[i]) for v in rows.values()):
      every = dict.fromkeys(c for group in names for c in group)
      raise errors.UserError(
        f"no sequence has a {word} condition ({', '.join(every)}); check the "
        "data set and eval.protocol"
      )
  raise errors.UserError(
    f"no search ({', '.join(searches)}) has both probes and a gallery; check "
    "the data set and eval.protocol"
  )
