"""What the set contains: sizes, splits, knobs, and the seeds of its parts.

Every random number is drawn from a Philox generator keyed by integers that
name what is drawn, so that any sequence can be made alone and in any order.
"""

import dataclasses

import numpy as np

from gaitkd_jax import errors

# Part of every seed: raise it together with the builder's version.
VERSION = 1

CONDITIONS = tuple(
  [f"nm-{i:02d}" for i in range(1, 7)] + ["bg-01", "bg-02", "cl-01", "cl-02"]
)
VIEWS = tuple(f"{v:03d}" for v in range(0, 181, 18))
FRAMES_PER_SECOND = 25.0

# Streams of random numbers. They are part of the seeds, so they never change.
BODY, GAIT, CLOTHES, BAG, COAT, WALK, CAMERA, NOISE, POSE = range(9)


@dataclasses.dataclass(frozen=True)
class Spec:
  """Knobs of the set's difficulty.

  Attributes:
    noise: How many faults segmentation and pose estimation make; 0 for none.
    within: Spread between the sequences of a subject, in measured within-walker
      standard deviations. Higher is harder.
    between: Spread between subjects' motion, in measured between-walker
      standard deviations. Lower is harder.
  """

  noise: float = 1.0
  within: float = 0.6
  between: float = 1.0


@dataclasses.dataclass(frozen=True)
class Size:
  """Extent of one variant of the set.

  Attributes:
    subjects: Number of subjects, named "001", "002", ...
    train: How many of them, from the first on, make the train split.
    views: Nominal camera azimuths in degrees, as names.
    frames: Frames of each sequence.
    conditions: Names of the sequences of a subject.
  """

  subjects: int
  train: int
  views: tuple[str, ...]
  frames: int
  conditions: tuple[str, ...] = CONDITIONS

  def split(self, name: str) -> tuple[str, ...]:
    """Returns the subjects of the split "train" or "test"."""
    first, last = {
      "train": (1, self.train),
      "test": (self.train + 1, self.subjects),
    }[name]
    return tuple(f"{i:03d}" for i in range(first, last + 1))


SIZES = {
  "tiny": Size(12, 8, ("000", "036", "090", "144"), 16),
  "small": Size(48, 32, VIEWS, 30),
  "full": Size(124, 74, VIEWS, 40),
  # The train split of "small", divided: to choose without its test split.
  "validation": Size(32, 24, VIEWS, 30),
}


def get_size(size: str | Size) -> Size:
  """Returns the size of that name; returns a `Size` as it is.

  Raises:
    errors.UserError: The name is not one of `SIZES`.
  """
  if isinstance(size, Size):
    return size
  if size not in SIZES:
    raise errors.UserError(
      f"walkers: no size {size!r}; choose one of {', '.join(SIZES)}"
    )
  return SIZES[size]


def check(size: Size, subject: str, condition: str, view: str) -> None:
  """Refuses a sequence that the set does not have.

  Raises:
    errors.UserError: The subject, condition or view is not part of `size`.
  """
  known = {
    "subject": (subject, size.split("train") + size.split("test")),
    "condition": (condition, size.conditions),
    "view": (view, size.views),
  }
  for what, (value, values) in known.items():
    if value not in values:
      raise errors.UserError(
        f"walkers: no {what} {value!r}; this size has {values[0]} to"
        f" {values[-1]} ({len(values)} in all)"
      )


def generator(
  stream: int, subject: str, condition: str = "", view: str = ""
) -> np.random.Generator:
  """Returns the random generator of one part of the set.

  Args:
    stream: One of this module's stream numbers.
    subject: Name of the subject.
    condition: Name of the sequence, or "" for what all sequences share.
    view: Name of the view, or "" for what all views share.
  """
  # 0 stands for "shared", so names count from 1.
  number = CONDITIONS.index(condition) + 1 if condition else 0
  azimuth = int(view) + 1 if view else 0
  key = (VERSION, stream, int(subject), number, azimuth)
  return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
