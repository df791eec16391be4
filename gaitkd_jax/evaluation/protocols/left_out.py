"""What the figures of an evaluation say nothing of, and why."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses

import numpy as np

from gaitkd_jax.evaluation import embedded as embedded_lib
from gaitkd_jax.evaluation.protocols import probe_gallery

_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class LeftOut:
  """Something that some figures, or all, say nothing of.

  Attributes:
    condition: of the figures, such as "NM"; empty: of all conditions.
    count: how many; 0 where what is left out is not there at all.
    what: one of them, such as "probe".
    figures: that say nothing of it, such as "mAP".
    reason: why.
    examples: names of the first ones.
  """

  condition: str
  count: int
  what: str
  figures: str
  reason: str
  examples: tuple[str, ...] = ()

  @classmethod
  def of(
    cls,
    condition: str,
    names: Iterable[str],
    what: str,
    figures: str,
    reason: str,
  ) -> "LeftOut":
    """Counts names, and takes the first ones as examples."""
    every = [str(name) for name in names]
    return cls(
      condition, len(every), what, figures, reason, tuple(every[:_SHOWN])
    )

  @property
  def text(self) -> str:
    """One line."""
    more = ", ..." if self.count > len(self.examples) else ""
    named = f" ({', '.join(self.examples)}{more})" if self.examples else ""
    where = f"{self.condition}: " if self.condition else ""
    head, of, rest = self.what.partition(" of ")
    many = "s" if self.count != 1 else ""
    what = f"{self.count:,} {head}{many}{of}{rest} from " if self.count else ""
    return f"{where}{what}{self.figures}: {self.reason}{named}"


def of_no_role(
  labels: embedded_lib.Labels,
  compared: Sequence[probe_gallery.ProbeGallery],
  reason: str,
  among: np.ndarray | None = None,
) -> list[LeftOut]:
  """The sequences that are neither probe nor gallery.

  Args:
    labels: of the whole set.
    compared: all probes and galleries.
    reason: why there are such sequences.
    among: bool `[n]`, the sequences that are looked at; None: all.
  """
  idle = np.ones(len(labels), bool) if among is None else among.copy()
  for one in compared:
    idle[one.probes] = False
    idle[one.gallery] = False
  if not idle.any():
    return []
  names = labels[np.flatnonzero(idle)].names
  return [LeftOut.of("", names, "sequence", "every figure", reason)]


def of_lists(absent: Sequence[str]) -> tuple[LeftOut, ...]:
  """Says that listed probes are not there; nothing if all are."""
  reason = "they are not among the test sequences"
  one = LeftOut.of("", absent, "listed probe", "every figure", reason)
  return (one,) if one.count else ()


def missing_conditions(
  groups: Mapping[str, probe_gallery.Conditions],
  conditions: np.ndarray,
  compared: Sequence[probe_gallery.ProbeGallery],
) -> list[LeftOut]:
  """The results that the data cannot have, and of which no mean is.

  Args:
    groups: by the name of the result.
    conditions: str `[n]`; those of no role are empty.
    compared: those groups that have probes and a gallery.
  """
  found = []
  there = {one.condition for one in compared}
  for name, group in groups.items():
    if name in there:
      continue
    probes, gallery = group.rows(conditions)
    what, count = ("probe", len(probes)) if len(probes) else ("", 0)
    lacks = "gallery" if len(probes) else "probes"
    if not len(probes) and not len(gallery):
      lacks = "probes and no gallery"
    found.append(
      LeftOut(
        name,
        count,
        what,
        "every figure, and the mean over conditions",
        f"the data have no {lacks} of it",
      )
    )
  return found


def unmatched(
  labels: embedded_lib.Labels, compared: probe_gallery.ProbeGallery
) -> np.ndarray:
  """Which probes are compared with nothing of their own subject: bool `[a]`."""
  matches = _counts(labels.subjects, compared.probes, compared.gallery)
  views = compared.view_codes()
  nothing = compared.excluded is probe_gallery.Excluded.NOTHING
  if views is not None and not nothing:
    subjects = np.unique(labels.subjects, return_inverse=True)[1]
    seen = subjects * (int(views.max(initial=0)) + 1) + views
    matches -= _counts(seen, compared.probes, compared.gallery)
  return matches == 0


def without_match(
  labels: embedded_lib.Labels,
  compared: probe_gallery.ProbeGallery,
  figures: str,
  among: np.ndarray | None = None,
) -> list[LeftOut]:
  """The probes that `unmatched` finds.

  Args:
    labels: of the whole set.
    compared: the probes and the gallery.
    figures: that say nothing of them.
    among: bool `[a]`, the probes that are looked at; None: all.
  """
  alone = unmatched(labels, compared)
  if among is not None:
    alone &= among
  if not alone.any():
    return []
  seen = compared.excluded is not probe_gallery.Excluded.NOTHING
  return [
    LeftOut.of(
      compared.condition,
      labels[compared.probes[alone]].names,
      "probe",
      figures,
      "their subject is not in the gallery"
      + (", or in their own view only" if seen else ""),
    )
  ]


def _counts(
  values: np.ndarray, probes: np.ndarray, gallery: np.ndarray
) -> np.ndarray:
  """How often the value of each probe occurs in the gallery, int `[a]`."""
  known, counts = np.unique(values[gallery], return_counts=True)
  places = np.searchsorted(known, values[probes]).clip(0, len(known) - 1)
  right = known[places] == values[probes]
  return np.where(right, counts[places], 0)
