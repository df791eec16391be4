"""What a plausible sequence of silhouettes is, and how an odd one is mended.

A silhouette is white on black. People also bring masks of 0 and 1, masks of a
label's grey value, black people on white, photographs. `treatment` finds out
from a sequence's own range and from its edges what has to be done to its
frames before they are cut to the person; `check` looks at the finished frames
of 64 x 64 pixels. Everything that reads silhouettes asks this module.

The limits stand far from what real silhouettes show. Measured on 660 recorded
walks, 19,800 frames of 64 x 64 pixels (`configs/recorded_walks.py`): a person
covers 12 to 27 % of a frame, 4 to 17 % of the pixels that are not black are
grey, and from frame to frame the area changes by a factor of up to 1.3.
"""

from collections.abc import Sequence
import dataclasses

import numpy as np

from gaitkd_jax.errors import UserError

# A sequence whose brightest pixel is darker holds masks of another range.
# OpenGait divides by 255 whatever the range is.
_BRIGHT = 200
# The first and the last column are background, unless the person is black.
_WHITE_SIDES = 0.75
_DARK_SIDES = 0.05
_FULL = 0.8
# In photographs some 0.85 of the pixels are grey.
_GREY = 0.65
_SMALL = 0.05
_NOISE = 0.03
_JUMP = 1.5
_GREY_RAW = 0.4  # of raw frames, whose edges are sharp
_SHADOW = 127
_LOOKED_AT = 4  # frames that are searched for grey
# Sizes of frames that are cut and centred already.
FINISHED = ((64, 64), (64, 44), (128, 128), (128, 88))


class ImplausibleError(UserError):
  """The sequence shows no silhouettes; says why."""


@dataclasses.dataclass(frozen=True)
class Treatment:
  """What is done to the frames of a sequence before they are cut.

  Attributes:
    highest: the brightest value of the sequence.
    scaled: whether 0 to `highest` become 0 to 255.
    inverted: whether black and white are exchanged.
    cut: whether the upper half of the range becomes white, the lower black.
    shadows: whether 127 becomes black, which is a shadow in the masks of
      OpenCV's background models.
  """

  highest: int = 255
  scaled: bool = False
  inverted: bool = False
  cut: bool = False
  shadows: bool = False

  @property
  def notes(self) -> tuple[str, ...]:
    """What is done, in words."""
    notes = []
    if self.scaled:
      notes.append(f"values from 0 to {self.highest}, scaled to 255")
    if self.inverted:
      notes.append("a black person on white, inverted")
    if self.cut:
      notes.append("a background that is not black, cut at half the range")
    if self.shadows:
      notes.append(f"shadows of value {_SHADOW}, made black")
    return tuple(notes)

  def apply(self, frames: np.ndarray) -> np.ndarray:
    """Treats frames, uint8 of any shape."""
    if not self.notes:
      return frames
    table = np.arange(256.0)
    if self.inverted:
      table = self.highest - table
    if self.cut:
      table = np.where(2 * table > self.highest, 255, 0)
    elif self.scaled or self.inverted:
      table = np.rint(table * (255 / self.highest)).clip(0, 255)
    if self.shadows:
      table[_SHADOW] = 0
    return table.astype(np.uint8)[frames]


AS_IT_IS = Treatment()


class Impression:
  """What the frames of a sequence look like before they are cut.

  They are shown one after the other, because raw frames of a whole sequence may
  not fit into the memory.
  """

  def __init__(self) -> None:
    self._lowest, self._highest = 255, 0
    self._outer: list[np.ndarray] = []
    self._inner: list[np.ndarray] = []
    self._counts = np.zeros(256, np.int64)
    self._counted = 0
    self._raw = False

  def add(self, frames: np.ndarray) -> None:
    """Looks at further frames, uint8 [s, h, w]."""
    if not frames.size:
      return
    high = int(frames.max())
    self._highest = max(self._highest, high)
    self._lowest = min(self._lowest, int(frames.min()))
    height, width = frames.shape[1:]
    self._raw |= (height, width) not in FINISHED
    inside = width // 16
    self._outer.append(frames[:, :, :: max(1, width - 1)].copy())
    self._inner.append(frames[:, :, [inside, -1 - inside]])
    if high and self._counted < _LOOKED_AT:  # those without a person tell less
      some = frames[:: -(-len(frames) // _LOOKED_AT)]
      # Every second pixel of every second row tells as much.
      pixels = some[:, ::2, ::2].ravel()
      self._counts += np.bincount(pixels, minlength=256)
      self._counted += len(some)

  def treatment(self) -> Treatment:
    """Decides what is to be done to these frames.

    Raises:
      ImplausibleError: they are neither masks nor silhouettes.
    """
    low, high = self._lowest, self._highest
    if not high:
      return AS_IT_IS
    scaled = high < _BRIGHT
    lit = self._counts[low + 1 :].sum()
    quarter = high // 4
    # The inside of a mask has one value; labels of body parts have many.
    if scaled and self._counts[high * 3 // 4 + 1 :].sum() < lit / 2:
      raise ImplausibleError(
        f"values from {low} to {high}, most of them in between: these are no "
        "silhouettes (labels of body parts?); give masks of 0 and 255"
      )
    grey = self._counts[max(quarter, low) + 1 : high - quarter]
    shadow = self._counts[_SHADOW] if high == 255 else 0
    shadows = shadow > max(0.9 * grey.sum(), 0.02 * lit)
    if self._raw and not shadows and grey.sum() > _GREY_RAW * lit:
      raise ImplausibleError(
        f"{grey.sum() / lit:.0%} of its pixels are grey, as in a photograph; "
        "give silhouettes, white on black"
      )
    if not any(side.any() for side in self._outer + self._inner):
      return Treatment(high, scaled, shadows=bool(shadows))  # as nearly all are
    outer = np.concatenate([_share(side > high // 2) for side in self._outer])
    inner = np.concatenate([_share(side > high // 2) for side in self._inner])
    inverted = _most(outer >= _WHITE_SIDES)
    if inverted and not _most(inner >= _WHITE_SIDES):
      raise ImplausibleError(
        "a white border runs around its pictures; cut it off"
      )
    if _most((outer < _DARK_SIDES) & (inner > 1 - _DARK_SIDES)):
      raise ImplausibleError(
        "a black border runs around white pictures; cut it off, and give white "
        "silhouettes on black"
      )
    background = high if inverted else 0
    other = np.concatenate([_share(side != background) for side in self._outer])
    dark = 1 - outer if inverted else outer
    # What a video codec makes of black, or a mask that counts from 1: with it,
    # the whole picture would be taken for the person.
    cut = _most((other > 0.5) & (dark < _DARK_SIDES))
    return Treatment(high, scaled, inverted, cut, bool(shadows))


def _share(pixels: np.ndarray) -> np.ndarray:
  """The share of pixels of each frame, bool [s, h, w] to float [s]."""
  return pixels.mean(axis=(1, 2))


def _most(frames: np.ndarray) -> bool:
  """Whether something holds for most frames, bool [s]."""
  return bool(frames.mean() > 0.5)


def mend(frames: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
  """Mends a whole sequence at once.

  Args:
    frames: uint8 [s, h, w].

  Returns:
    uint8 [s, h, w], and what was done.

  Raises:
    ImplausibleError: see `Impression.treatment`.
  """
  impression = Impression()
  impression.add(frames)
  treatment = impression.treatment()
  return treatment.apply(frames), treatment.notes


@dataclasses.dataclass(frozen=True)
class Check:
  """What the finished frames of a sequence look like.

  Attributes:
    frames: how many there are.
    empty: how many of them are black.
    share: median share of white pixels in the others, 0 to 1.
    grey: share of grey (64 to 191) among what is not black, 0 to 1.
    jumps: how often the area changes by a factor of more than 1.5 from one
      frame to the next: another person, or a segmentation that failed.
  """

  frames: int
  empty: int
  share: float
  grey: float
  jumps: int

  @property
  def refusal(self) -> str:
    """Why the sequence shows no silhouettes; "" if it may."""
    if self.share > _FULL:
      return (
        f"{self.share:.0%} of its pixels are white, nearly full frames; a "
        "person covers some 20 %"
      )
    if self.share < _NOISE and self.frames > self.empty:
      return (
        f"{self.share:.1%} of its pixels are white, less than a person needs: "
        "noise, or not cut to the person"
      )
    if self.grey > _GREY:
      return (
        f"{self.grey:.0%} of its pixels are grey, as in a photograph; give "
        "silhouettes, white on black"
      )
    return ""

  @property
  def notes(self) -> tuple[str, ...]:
    """What is unusual, although it may be right."""
    if 0 < self.share < _SMALL:
      return (f"under {_SMALL:.0%} of the pixels are white: a small person",)
    return ()


def check(frames: np.ndarray) -> Check:
  """Looks at the finished frames of a sequence.

  Args:
    frames: uint8 [s, 64, 64] (or 44 columns), cut and centred.

  Returns:
    What they look like.
  """
  if not len(frames):
    return Check(0, 0, 0.0, 0.0, 0)
  flat = frames.reshape(len(frames), -1)
  # The highest bit says white or not. Eight pixels are added at a time, 16
  # times at most, so that a sum fits into its byte.
  bits = (flat >> 7).view(np.uint64).reshape(len(frames), 16, -1)
  areas = bits.sum(axis=1).view(np.uint8).sum(axis=1, dtype=np.int64)
  there = flat.any(axis=1)
  known = areas[areas > 0]
  ratio = known[1:] / known[:-1]
  # Plain numbers, which can be written as JSON: numpy 2.4 counts in its own.
  jumps = int(np.count_nonzero((ratio > _JUMP) | (ratio < 1 / _JUMP)))
  empty = len(frames) - int(np.count_nonzero(there))
  # Of an even number the upper of both middle ones.
  middle = np.sort(areas[there])[(len(frames) - empty) // 2 :][:1]
  looked_at = flat[:: -(-len(flat) // _LOOKED_AT)]
  lit = int(np.count_nonzero(looked_at))
  # 64 to 191, since smaller numbers wrap around.
  grey = int(np.count_nonzero((looked_at - np.uint8(64)) < 128))
  return Check(
    frames=len(frames),
    empty=empty,
    share=float(middle.sum() / flat.shape[1]),
    grey=grey / lit if lit else 0.0,
    jumps=jumps,
  )


@dataclasses.dataclass
class Tally:
  """What `check` found in the sequences of a data set.

  Attributes:
    checks: of the sequences.
  """

  checks: list[Check] = dataclasses.field(default_factory=list)

  def lines(self) -> list[str]:
    """The report of a data set."""
    if not self.checks:
      return []
    shares = np.array([check.share for check in self.checks])
    low, middle, high = np.quantile(shares, [0, 0.5, 1], method="nearest")
    return [
      f"share of white pixels: least {low:.1%}, median {middle:.1%}, most "
      f"{high:.1%}",
      _counted(
        "black frames", [check.empty for check in self.checks], "dropped"
      ),
      _counted(
        f"jumps of the area by a factor over {_JUMP}",
        [check.jumps for check in self.checks],
      ),
      *(
        f"{sum(note in check.notes for check in self.checks):,} sequences: "
        f"{note}"
        for note in sorted({n for check in self.checks for n in check.notes})
      ),
    ]


def _counted(what: str, counts: Sequence[int], done: str = "") -> str:
  number, sequences = sum(counts), sum(count > 0 for count in counts)
  text = f"{what}: {number:,}"
  if number:
    text += f" in {sequences:,} of {len(counts):,} sequences"
  return text + (f" ({done})" if done and number else "")
