"""The capsules and ellipsoids that a walking figure is made of."""

from collections.abc import Sequence
import dataclasses

import numpy as np

Array = np.ndarray


@dataclasses.dataclass
class Shapes:
  """What a figure is made of.

  Attributes:
    ends: float32 [c, 2, s, 3], centres of both ends of every capsule.
    radii: float32 [c, 2].
    centres: float32 [e, s, 3], of the ellipsoids.
    axes: float32 [e, s, 3, 3], columns are the half axes.
    floor: float32 [s], z of the lowest point of the soles.
    joints: float32 [17, s, 3], COCO's key points: nose; eyes, ears, shoulders,
      elbows, wrists, hips, knees, ankles, each left and right.
    capsule_parts: What each capsule is: "trousers", "shoe", "shirt", "sleeve",
      "cuff", "hand", "skin", "hair", "hem", "collar".
    ellipsoid_parts: The same of the ellipsoids, and "hips", "hood" and "bag".
  """

  ends: Array
  radii: Array
  centres: Array
  axes: Array
  floor: Array
  joints: Array
  capsule_parts: tuple[str, ...] = ()
  ellipsoid_parts: tuple[str, ...] = ()


class Collector:
  """Collects the capsules and ellipsoids of a figure."""

  def __init__(self):
    self._ends: list[tuple[Array, Array]] = []
    self._radii: list[tuple[float, float]] = []
    self._centres: list[Array] = []
    self._axes: list[Array] = []
    self._capsule_parts: list[str] = []
    self._ellipsoid_parts: list[str] = []

  def capsule(
    self, start: Array, end: Array, r0: float, r1: float, part: str = ""
  ) -> None:
    """Adds a capsule from `start` to `end`, [s, 3], with a radius at each."""
    self._capsule_parts.append(part)
    self._ends.append((start, end))
    self._radii.append((r0, r1))

  def ellipsoid(
    self,
    centre: Array,
    frame: Array,
    half_axes: Sequence[float],
    part: str = "",
  ) -> None:
    """Adds an ellipsoid.

    Args:
      centre: [s, 3].
      frame: [s, 3, 3]; its columns are the directions of the axes.
      half_axes: forward, left and up of that frame.
      part: see `Shapes`.
    """
    self._ellipsoid_parts.append(part)
    self._centres.append(centre[None])
    self._axes.append((frame * np.asarray(half_axes))[None])

  def slices(
    self, centres: Array, frames: Array, half_axes: Array, part: str = ""
  ) -> None:
    """Adds e ellipsoids: [e, s, 3], [e, s, 3, 3] and [e, 3]."""
    self._ellipsoid_parts.extend([part] * len(centres))
    self._centres.append(centres)
    self._axes.append(frames * half_axes[:, None, None, :])

  def shapes(self, floor: Array, joints: list[Array]) -> Shapes:
    """Returns all that was added, in the order in which it was added."""
    single = np.float32
    return Shapes(
      np.array(self._ends, single),
      np.array(self._radii, single),
      np.concatenate(self._centres).astype(single),
      np.concatenate(self._axes).astype(single),
      floor.astype(single),
      np.array(joints, single),
      tuple(self._capsule_parts),
      tuple(self._ellipsoid_parts),
    )
