"""Verdicts: who a probe is, or that it is nobody of the gallery.

A probe is given the name of its nearest gallery sequence if that lies at the
threshold or nearer, else it is unknown (open-set identification, ISO/IEC
19795-1).

The rate of false accepts of such a search is not that of verification: a
stranger is compared with everybody and is let in by the nearest of them, so at
one threshold it grows with the gallery. `threshold_at` therefore measures it in
the gallery itself, by leaving out one subject at a time. Each of its sequences
in turn is the stranger, who is searched among the sequences of all other
subjects; the rate of false accepts is the share of sequences whose nearest one
there lies at the threshold or nearer. So it holds for strangers who walk and
are recorded as those of the gallery, and for this gallery: measure it again
when people were added.
"""

from collections.abc import Sequence
import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from gaitkd_jax import errors
from gaitkd_jax.evaluation.search import blocks as blocks_lib

UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True)
class Verdict:
  """What is said of a probe.

  Attributes:
    subject: of the nearest gallery sequence; None: the probe is unknown.
    distance: of that sequence.
    threshold: at which or below which a probe is named.
  """

  subject: str | None
  distance: float
  threshold: float

  @property
  def name(self) -> str:
    """The subject, or `UNKNOWN`."""
    return UNKNOWN if self.subject is None else self.subject

  def __str__(self) -> str:
    """Such as "0012 (0.8300 <= 0.9100)"."""
    sign = ">" if self.subject is None else "<="
    return f"{self.name} ({self.distance:.4f} {sign} {self.threshold:.4f})"


@dataclasses.dataclass(frozen=True)
class Threshold:
  """A threshold that keeps a rate of false accepts, and what it costs.

  Attributes:
    distance: the threshold.
    rate: of false accepts, at most, in (0, 1).
    strangers: searches of a stranger by which it was found: the gallery's
      sequences.
    accepted: how many of them it lets in.
    subjects: of the gallery.
    known: sequences whose subject has another one in the gallery.
    named: how many of them it names rightly, being searched in all the rest.
  """

  distance: float
  rate: float
  strangers: int
  accepted: int
  subjects: int
  known: int
  named: int


def decide(
  distance: np.ndarray, rows: np.ndarray, subjects: np.ndarray, threshold: float
) -> list[Verdict]:
  """Names the probes of a search.

  Args:
    distance: `[a, k]`, ascending, as `search.nearest` gives them.
    rows: int `[a, k]`, of the gallery, likewise.
    subjects: of the gallery, str `[b]`.
    threshold: in float32, like the distances.

  Returns:
    A verdict for each of the a probes.

  Raises:
    errors.UserError: a gallery sequence has no subject, or the threshold is no
      distance.
  """
  check_subjects(subjects)
  check_threshold(threshold)
  named = distance[:, 0] <= np.float32(threshold)
  return [
    Verdict(str(subject) if known else None, float(value), float(threshold))
    for subject, value, known in zip(
      subjects[rows[:, 0]], distance[:, 0], named, strict=True
    )
  ]


def check_threshold(threshold: float) -> None:
  """Raises a UserError for what is no distance."""
  if not 0 <= threshold <= float(np.finfo(np.float32).max):
    raise errors.UserError(
      f"the threshold is {threshold}; give a distance, 0 or more"
    )


def check_subjects(subjects: np.ndarray, rate: float | None = None) -> None:
  """Raises a UserError for a gallery that cannot give verdicts.

  Args:
    subjects: of the gallery, str `[b]`.
    rate: of false accepts, if the gallery is to give the threshold.
  """
  absent = int((np.asarray(subjects) == "").sum())
  if absent:
    raise errors.UserError(
      f"{absent} of the {len(subjects)} sequences of the gallery have no "
      "subject, so nobody can be named; give a gallery with the subject of "
      "every sequence"
    )
  if rate is None:
    return
  if not 0 < rate < 1:
    raise errors.UserError(
      f"the rate of false accepts is {rate}; give one between 0 and 1, such as "
      "0.01"
    )
  people = len(np.unique(subjects))
  if people < 2:
    raise errors.UserError(
      f"the gallery has {people} subject, and strangers are found among two or "
      "more; give the threshold itself"
    )
  if not _allowed(rate, len(subjects)):
    least = math.ceil((1 - 1e-9) / rate)
    raise errors.UserError(
      f"a rate of false accepts of {rate:g} needs a gallery of at least "
      f"{least} sequences, each of them a stranger to the other subjects, and "
      f"this one has {len(subjects)}; give at least {_up(1 / len(subjects))}, "
      "or the threshold itself"
    )


def threshold_at(
  rate: float,
  gallery: Any,
  subjects: np.ndarray,
  metric: str = "euclidean",
  memory_gib: float = 1.0,
  devices: Sequence[jax.Device] | None = None,
) -> Threshold:
  """Finds the threshold of a rate of false accepts, see the module.

  It is the longest distance between a sequence and its nearest of another
  subject at which no more than the rate of them are let in. Two that are each
  other's nearest are let in together; where the rate allows for less than the
  first of them, the threshold lies below all and lets in none.

  Args:
    rate: of false accepts, at most, in (0, 1).
    gallery: `[b, p, d]`, see `search.nearest`.
    subjects: str `[b]`.
    metric: of `distances.METRICS`.
    memory_gib: bound of the blocks that are in memory at once.
    devices: by default those of this process.

  Raises:
    errors.UserError: a gallery sequence has no subject, the gallery is too
      small for the rate, or equal sequences of two subjects leave none that
      keeps it; distances are not finite, or the budget is too small.
  """
  check_subjects(subjects, rate)
  strangers, own = nearest_by_subject(
    gallery, subjects, metric, memory_gib, devices
  )
  ordered = np.sort(strangers)
  allowed = _allowed(rate, len(ordered))
  # Distances that are shorter than the first which would be one too many.
  accepted = int(np.searchsorted(ordered, ordered[allowed]))
  if accepted:
    distance = ordered[accepted - 1]
  elif ordered[0] > 0:
    distance = np.nextafter(ordered[0], np.float32(0))
  else:
    copies = int((ordered == 0).sum())
    raise errors.UserError(
      f"no threshold keeps a rate of false accepts of {rate:g}: {copies} of "
      f"the {len(ordered)} sequences of the gallery equal one of another "
      "subject; take out what is there under two names"
    )
  return Threshold(
    distance=float(distance),
    rate=rate,
    strangers=len(ordered),
    accepted=accepted,
    subjects=len(np.unique(subjects)),
    known=int(np.isfinite(own).sum()),
    named=int(((own <= distance) & (own < strangers)).sum()),
  )


def nearest_by_subject(
  gallery: Any,
  subjects: np.ndarray,
  metric: str = "euclidean",
  memory_gib: float = 1.0,
  devices: Sequence[jax.Device] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
  """The nearest sequence of other subjects, and of the own, within a gallery.

  Every pair is compared once, in blocks.

  Args:
    gallery: `[b, p, d]`, see `search.nearest`.
    subjects: str `[b]`.
    metric: of `distances.METRICS`.
    memory_gib: bound of the blocks that are in memory at once.
    devices: by default those of this process.

  Returns:
    Two distances of each sequence, float32 `[b]`: to the nearest of another
    subject, and to the nearest other one of its own; infinite where there is
    none.

  Raises:
    errors.UserError: distances are not finite, or the budget is too small.
  """
  blocks = blocks_lib.Blocks(gallery, gallery, metric, memory_gib, devices)
  codes = np.unique(subjects, return_inverse=True)[1].astype(np.int32)
  found = np.full((2, len(codes)), np.inf, np.float32)

  def take(block: blocks_lib.Block, nearest: Any) -> None:
    for part, values in zip(
      (block.probes, block.gallery), jax.device_get(nearest), strict=True
    ):
      count = part.stop - part.start
      # Of a NaN it makes a NaN.
      found[:, part] = np.minimum(found[:, part], values[:, :count])

  # Distances of i and j are those of j and i.
  wanted = [
    (p.stop - p.start) * (g.stop - g.start)
    for p in blocks.probe_slices
    for g in blocks.gallery_slices
    if _above_the_diagonal(p, g)
  ]
  before: tuple[blocks_lib.Block, Any] | None = None
  with tqdm.tqdm(
    total=sum(wanted),
    desc="gallery",
    unit="pair",
    unit_scale=True,
    disable=None,
  ) as bar:
    for block in blocks.where(_above_the_diagonal):
      p, g = block.probes, block.gallery
      nearest = _nearest_of_block(
        blocks.distances(block),
        blocks.put_probes(codes[p], -1),
        blocks.put_gallery(codes[g], -1),
        np.int32(g.start - p.start),
      )
      if before is not None:  # two blocks at most are under way
        take(*before)
      before = block, nearest
      bar.update((p.stop - p.start) * (g.stop - g.start))
    if before is not None:
      take(*before)
  alone = len(np.unique(codes)) == 1
  if np.isnan(found).any() or not (alone or np.isfinite(found[0]).all()):
    raise errors.UserError(
      "distances within the gallery are not finite; the network that made "
      "these embeddings, or its checkpoint, is broken"
    )
  return found[0], found[1]


def _above_the_diagonal(probes: slice, gallery: slice) -> bool:
  """Whether a block has a pair of an item and itself or a later one."""
  return probes.start < gallery.stop


@jax.jit
def _nearest_of_block(
  distance: jax.Array,
  probe_codes: jax.Array,
  item_codes: jax.Array,
  shift: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """The nearest of other subjects and of the own, both ways.

  Args:
    distance: `[k, m]`.
    probe_codes: of their subjects, int32 `[k]`; -1 is filling.
    item_codes: likewise, int32 `[m]`.
    shift: by how many rows the items begin later than the probes.

  Returns:
    Of the probes `[2, k]` and of the items `[2, m]`, infinite where there is
    none.
  """
  k, m = distance.shape
  same = probe_codes[:, None] == item_codes[None, :]
  there = (probe_codes >= 0)[:, None] & (item_codes >= 0)[None, :]
  itself = jnp.arange(k)[:, None] == (jnp.arange(m) + shift)[None, :]
  chosen = (there & ~same, there & same & ~itself)
  kept = [jnp.where(pairs, distance, jnp.inf) for pairs in chosen]
  return (
    jnp.stack([x.min(axis=1) for x in kept]),
    jnp.stack([x.min(axis=0) for x in kept]),
  )


def _allowed(rate: float, searches: int) -> int:
  """How many of so many searches a rate lets in."""
  # 0.07 * 100 is a little more than 7, and 0.29 * 100 a little less than 29.
  return math.floor(rate * searches * (1 + 1e-9))


def _up(rate: float) -> str:
  """A rate in three digits, not rounded down."""
  scale = 10 ** (2 - math.floor(math.log10(rate)))
  return f"{math.ceil(rate * scale * (1 - 1e-9)) / scale:g}"
