"""Gaits: joint angles over the stride, drawn around measured means.

Source: 198 gait cycles of 15 walkers of the CMU motion capture database. A
channel is y(phi) = a0 + sum_k A_k cos(k phi + P_k); phi is 0 at the heel strike
of the same side and grows by 2 pi in a stride. The right side follows half a
stride later. Angles are those of body segments in the walker's frame: `a` is
sagittal, from straight down, positive forward (foot: pitch, positive with the
toe up; trunk and head: forward lean); `b` is outward (foot: toe-out; trunk and
head: to the left).
"""

import dataclasses

import numpy as np

from data_pipelines.walkers import spec as spec_lib

SIDED = (
  "thigh_a",
  "thigh_b",
  "shank_a",
  "shank_b",
  "upper_arm_a",
  "upper_arm_b",
  "forearm_a",
  "forearm_b",
  "foot_a",
  "foot_b",
)
CENTRAL = (
  "trunk_a",
  "trunk_b",
  "head_a",
  "head_b",
  "pelvis_yaw",
  "pelvis_roll",
  "shoulder_yaw",
  "shoulder_roll",
)
_ARM = slice(SIDED.index("upper_arm_a"), SIDED.index("forearm_b") + 1)

# Degrees. Each row: a0; amplitude and phase of k = 1..4; SD between walkers of
# a0 and of the vectors k = 1..3; the same within a walker. What was changed in
# the measurements: thigh a0 -4 and shank a0 +5 take out the fitted skeleton's
# knee bend; trunk a0 +5, because the hip joints lie ahead of the skeleton's
# root; the SD of forearm a0 is 6.6 / 5, because the measured 23.3 comes from
# angles that wrap around; foot b is 6 degrees of toe-out without harmonics,
# because the toe marker is too noisy during swing.
_TABLE = np.array(
  [
    # thigh_a
    (8.2, 24.1, -5, 6.3, 127, 2.6, -98, 0.7, 167)
    + (1.3, 3.4, 1.7, 1.0, 1.5, 1.8, 1.4, 0.7),
    # thigh_b
    (-3.3, 3.6, 75, 0.9, 177, 0.5, -102, 0.1, 14)
    + (1.2, 1.3, 0.7, 0.5, 0.7, 0.8, 0.5, 0.3),
    # shank_a
    (-16.6, 24.8, -46, 13.9, 6, 3.8, 71, 1.5, 8)
    + (1.6, 3.3, 1.7, 1.0, 1.3, 1.7, 1.3, 0.7),
    # shank_b
    (-3.0, 1.9, 7, 1.0, -27, 0.9, 37, 0.2, 131)
    + (1.3, 1.2, 0.9, 0.6, 1.0, 0.9, 0.6, 0.4),
    # upper_arm_a
    (-6.8, 10.3, 171, 0.5, 58, 0.6, -178, 0.2, -45)
    + (2.7, 5.6, 0.9, 0.7, 2.9, 3.6, 0.8, 0.5),
    # upper_arm_b
    (4.0, 5.0, 164, 0.7, 24, 0.1, 127, 0.1, -92)
    + (2.6, 2.0, 0.7, 0.1, 2.1, 1.3, 0.6, 0.3),
    # forearm_a
    (20.7, 21.2, 164, 2.8, 18, 0.3, 106, 0.1, -102)
    + (6.6, 13.9, 1.6, 0.6, 5.0, 6.0, 2.0, 0.8),
    # forearm_b
    (5.3, 1.5, -30, 1.0, -179, 0.2, 30, 0.1, -88)
    + (4.7, 2.7, 1.1, 0.3, 1.8, 2.1, 0.9, 0.4),
    # foot_a
    (-20.5, 27.7, -54, 20.5, 23, 5.5, 91, 2.9, -36)
    + (4.1, 5.3, 3.8, 1.7, 2.9, 2.8, 2.4, 1.6),
    # foot_b
    (6.0, 0, 0, 0, 0, 0, 0, 0, 0) + (5.0, 0, 0, 0, 3.0, 0, 0, 0),
    # trunk_a
    (2.7, 0.3, -80, 0.9, 13, 0.1, -80, 0.2, -14)
    + (1.9, 0.3, 0.5, 0.1, 1.0, 1.0, 0.4, 0.2),
    # trunk_b
    (0.0, 1.6, -9, 0.0, 114, 0.2, -63, 0.0, 98)
    + (0.1, 1.3, 0.1, 0.2, 0.8, 0.4, 0.3, 0.1),
    # head_a
    (2.2, 0.2, 100, 0.9, 64, 0.0, 99, 0.1, -55)
    + (5.8, 0.7, 0.5, 0.2, 1.7, 1.6, 0.6, 0.3),
    # head_b
    (0.0, 1.7, -37, 0.0, 68, 0.2, 77, 0.0, 126)
    + (0.4, 1.1, 0.2, 0.2, 2.1, 0.8, 0.5, 0.2),
    # pelvis_yaw
    (0.0, 4.2, 148, 0.2, -123, 0.3, -131, 0.1, -50)
    + (0.2, 2.2, 0.3, 0.7, 2.0, 1.2, 0.8, 0.4),
    # pelvis_roll
    (0.0, 5.3, -155, 0.0, -66, 1.3, 148, 0.1, -78)
    + (0.3, 1.8, 0.1, 0.6, 1.7, 0.6, 0.4, 0.3),
    # shoulder_yaw
    (0.3, 3.0, -5, 0.1, -141, 0.7, -156, 0.1, -81)
    + (0.4, 1.6, 0.2, 0.5, 2.9, 1.1, 0.6, 0.4),
    # shoulder_roll
    (-0.1, 2.1, 139, 0.1, -72, 0.2, 1, 0.0, -22)
    + (0.4, 1.4, 0.1, 0.2, 2.7, 0.6, 0.4, 0.2),
  ]
)
_HARMONICS = 5  # k = 0..4; the fourth is the same for everybody.

_ASYMMETRY = 0.35
_VIGOUR_SD = 0.05
_SEQUENCE_FREQUENCY_SD = 0.03
_WOBBLE = 0.06  # relative change of the frequency inside a sequence
_WOBBLE_HZ = 0.4


def _means() -> np.ndarray:
  amplitudes = _TABLE[:, 1:9:2]
  phases = np.deg2rad(_TABLE[:, 2:9:2])
  return np.concatenate(
    [_TABLE[:, :1], amplitudes * np.exp(1j * phases)], axis=1
  )


def _deviations(rng: np.random.Generator, sd: np.ndarray) -> np.ndarray:
  """Draws vectors of the given SD.

  Args:
    rng: Generator to draw from.
    sd: float [channels, 4], SD of a0 and of the vectors k = 1..3.

  Returns:
    complex [channels, 5].
  """
  z = rng.standard_normal((2, *sd.shape))
  out = np.zeros((sd.shape[0], _HARMONICS), complex)
  # A vector's SD is the root of its mean squared length, half in each part.
  out[:, :4] = sd * (z[0] + 1j * z[1]) / np.sqrt(2.0)
  out[:, 0] = sd[:, 0] * z[0, :, 0]
  return out


@dataclasses.dataclass(frozen=True)
class Gait:
  """How a subject walks.

  Attributes:
    left: complex [10, 5], harmonic vectors of `SIDED` in degrees.
    right: The same of the right side, in the right side's phase.
    central: complex [8, 5], of `CENTRAL`, in the left side's phase.
    frequency: Strides a second.
  """

  left: np.ndarray
  right: np.ndarray
  central: np.ndarray
  frequency: float


@dataclasses.dataclass(frozen=True)
class Walk:
  """A gait over the frames of one sequence.

  Attributes:
    left: float32 [10, s], angles of `SIDED` in radians.
    right: The same of the right side.
    central: float32 [8, s], angles of `CENTRAL` in radians.
    phase: float [s], phase of the left side in radians.
  """

  left: np.ndarray
  right: np.ndarray
  central: np.ndarray
  phase: np.ndarray


def sample_gait(rng: np.random.Generator, spec: spec_lib.Spec) -> Gait:
  """Draws a subject's gait."""
  mean = _means()
  sd = spec.between * _TABLE[:, 9:13]
  gait = mean + _deviations(rng, sd)
  gait[:, 1:] *= 1.0 + _VIGOUR_SD * rng.standard_normal()
  sided = len(SIDED)
  left, right = (
    gait[:sided] + _ASYMMETRY * _deviations(rng, sd[:sided]) for _ in range(2)
  )
  frequency = np.clip(rng.normal(0.92, 0.07), 0.75, 1.1)
  return Gait(left, right, gait[sided:], float(frequency))


def _evaluate(vectors: np.ndarray, phase: np.ndarray) -> np.ndarray:
  waves = np.exp(1j * np.arange(_HARMONICS)[:, None] * phase)
  degrees = (vectors[:, :, None] * waves).sum(axis=1).real
  return np.deg2rad(degrees).astype(np.float32)


def sample_walk(
  rng: np.random.Generator,
  spec: spec_lib.Spec,
  gait: Gait,
  frames: int,
  swing: tuple[float, float] = (1.0, 1.0),
) -> Walk:
  """Draws one walk of a subject.

  Args:
    rng: The sequence's generator.
    spec: Knobs of the set.
    gait: The subject's gait.
    frames: Length of the sequence.
    swing: Factors on the swing of the left and the right arm.
  """
  sd = spec.within * _TABLE[:, 13:17]
  sided = len(SIDED)
  left = gait.left + _deviations(rng, sd[:sided])
  right = gait.right + _deviations(rng, sd[:sided])
  central = gait.central + _deviations(rng, sd[sided:])
  for vectors, factor in ((left, swing[0]), (right, swing[1])):
    vectors[_ARM, 1:] *= factor
  frequency = gait.frequency * (
    1.0 + _SEQUENCE_FREQUENCY_SD * rng.standard_normal()
  )
  start, wobble_start = rng.uniform(0.0, 2.0 * np.pi, 2)
  seconds = np.arange(frames) / spec_lib.FRAMES_PER_SECOND
  turn = 2.0 * np.pi * _WOBBLE_HZ
  # The integral of a frequency that swings by 6 % around its mean.
  warped = seconds + _WOBBLE / turn * (
    np.sin(turn * seconds + wobble_start) - np.sin(wobble_start)
  )
  phase = start + 2.0 * np.pi * frequency * warped
  return Walk(
    _evaluate(left, phase),
    _evaluate(right, phase + np.pi),
    _evaluate(central, phase),
    phase,
  )
