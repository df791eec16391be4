"""Builds a walking figure out of tapered capsules and ellipsoids.

The walker's frame: x forward, y left, z up, metres; the origin lies midway
between the hip joints. Arrays are [s, 3], one point a frame.
"""

import itertools

import numpy as np

from data_pipelines.walkers import appearance
from data_pipelines.walkers import motion
from data_pipelines.walkers import shapes as shapes_lib

Array = np.ndarray

# Cross-sections of the torso: the height, from the hip joints (0) to the
# shoulder joints (1); a measure and a factor, which give the breadth; and the
# same for the depth.
_TORSO_LEVELS = (
  (-0.17, "hip_breadth", 0.86, "buttock_depth", 0.80),
  (0.02, "hip_breadth", 1.00, "buttock_depth", 1.00),
  (0.33, "waist_breadth", 0.97, "waist_depth", 0.97),
  (0.68, "chest_breadth", 1.06, "chest_depth", 1.06),
  (0.84, "chest_breadth", 1.12, "chest_depth", 0.86),
  (0.95, "biacromial_breadth", 0.74, "chest_depth", 0.60),
  (1.03, "biacromial_breadth", 0.40, "chest_depth", 0.42),
)
# With fewer slices the outline is jagged.
_SLICES = np.linspace(-0.17, 1.03, 17)
_HIPS = 4  # of them, from the crotch to a little above the hip joints
# The sole is flat on the floor where the measured pitch of the foot (ankle to
# toe marker) is about -11 degrees, its value all through mid stance.
_FLAT_FOOT = np.deg2rad(11.0)
_HEAD_FORWARD = 0.015
# Nose; left and right eye; left and right ear. From the middle of the head:
# forward in half lengths of it, left in half breadths, up in half heights.
_FACE = (
  (1.02, 0.0, -0.22),
  (0.82, 0.42, 0.03),
  (0.82, -0.42, 0.03),
  (-0.02, 0.92, -0.08),
  (-0.02, -0.92, -0.08),
)


def _direction(a: Array, b: Array, side: int = 1) -> Array:
  """Unit vector hanging down, swung forward by `a` and outward by `b`."""
  return np.stack(
    [np.sin(a) * np.cos(b), side * np.sin(b), -np.cos(a) * np.cos(b)], -1
  )


def _frame(yaw: Array, roll: Array, up: Array) -> Array:
  """Rotations [..., 3, 3]; columns forward, left (exact), up (nearly `up`)."""
  left = np.stack(
    [
      -np.sin(yaw) * np.cos(roll),
      np.cos(yaw) * np.cos(roll),
      np.sin(roll),
    ],
    -1,
  )
  forward = np.cross(left, up)
  forward /= np.linalg.norm(forward, axis=-1, keepdims=True)
  return np.stack([forward, left, np.cross(forward, left)], -1)


def _radius(measures: dict[str, float], name: str, factor: float) -> float:
  return measures[f"{name}_circumference"] / (2.0 * np.pi) * factor


def _leg(
  out: shapes_lib.Collector,
  measures: dict[str, float],
  clothes: appearance.Clothes,
  angles: dict[str, Array],
  hip: Array,
  side: int,
) -> tuple[Array, Array, Array]:
  """Adds a leg.

  Returns:
    The vector from hip to knee [s, 3], the ankle [s, 3], and the height of the
    lowest point of the shoe [s].
  """
  thigh = measures["trochanterion_height"] - measures["tibial_height"]
  shank = measures["tibial_height"] - measures["malleolus_height"]
  cloth, flare = clothes.trousers, clothes.flare
  r_thigh = _radius(measures, "thigh", 0.88) + cloth
  r_knee = _radius(measures, "lower_thigh", 0.90) + cloth
  r_calf = _radius(measures, "calf", 0.95) + cloth + 0.3 * flare
  r_ankle = _radius(measures, "ankle", 0.95) + cloth + flare
  down = thigh * _direction(angles["thigh_a"], angles["thigh_b"], side)
  knee = hip + down
  r_middle = 0.5 * (r_thigh + r_knee)
  out.capsule(hip, hip + 0.5 * down, r_thigh, r_middle, "trousers")
  out.capsule(hip + 0.5 * down, knee, r_middle, r_knee, "trousers")
  lower = shank * _direction(angles["shank_a"], angles["shank_b"], side)
  ankle = knee + lower
  calf = knee + 0.32 * lower
  out.capsule(knee, calf, r_knee * 0.95, r_calf, "trousers")
  out.capsule(calf, ankle - 0.04 * lower, r_calf, r_ankle, "trousers")

  pitch = angles["foot_a"] + _FLAT_FOOT
  out_turn = side * angles["foot_b"]
  forward = np.stack(
    [
      np.cos(pitch) * np.cos(out_turn),
      np.cos(pitch) * np.sin(out_turn),
      np.sin(pitch),
    ],
    -1,
  )
  upward = np.stack(
    [
      -np.sin(pitch) * np.cos(out_turn),
      -np.sin(pitch) * np.sin(out_turn),
      np.cos(pitch),
    ],
    -1,
  )
  length = measures["foot_length"]
  sole = 0.030 + clothes.shoe
  tip = 0.020 + clothes.shoe
  drop = measures["malleolus_height"] + clothes.shoe
  heel = ankle + (sole - 0.25 * length) * forward - (drop - sole) * upward
  toe = ankle + (0.75 * length - tip) * forward - (drop - tip) * upward
  out.capsule(heel, toe, sole, tip, "shoe")
  instep = 0.5 * heel + 0.5 * toe + 0.012 * upward
  r_instep = _radius(measures, "ankle", 0.95)
  out.capsule(ankle, instep, r_instep, sole, "shoe")
  floor = np.minimum(heel[:, 2] - sole, toe[:, 2] - tip)
  return down, ankle, floor


def _arm(
  out: shapes_lib.Collector,
  measures: dict[str, float],
  clothes: appearance.Clothes,
  angles: dict[str, Array],
  shoulder: Array,
  side: int,
) -> tuple[Array, Array, Array]:
  """Adds an arm; returns elbow, wrist and the tip of the hand, each [s, 3]."""
  upper = 0.93 * measures["shoulder_elbow_length"]
  r_upper = _radius(measures, "biceps", 0.90) + clothes.sleeve
  r_elbow = _radius(measures, "forearm", 0.92) + clothes.cuff
  r_middle = _radius(measures, "forearm", 0.88) + clothes.cuff
  r_wrist = _radius(measures, "wrist", 0.97) + clothes.cuff
  elbow = shoulder + upper * _direction(
    angles["upper_arm_a"], angles["upper_arm_b"], side
  )
  start = shoulder + 0.04 * (elbow - shoulder)
  out.capsule(start, elbow, r_upper, max(r_elbow, 0.85 * r_upper), "sleeve")
  along = _direction(angles["forearm_a"], angles["forearm_b"], side)
  wrist = elbow + measures["radiale_stylion_length"] * along
  middle = 0.6 * elbow + 0.4 * wrist
  out.capsule(elbow, middle, r_elbow, r_middle, "cuff")
  out.capsule(middle, wrist, r_middle, r_wrist, "cuff")
  hand = wrist + 0.55 * measures["hand_length"] * along
  out.capsule(wrist, hand, 0.033, 0.030, "hand")
  return elbow, wrist, hand


def _torso(
  out: shapes_lib.Collector,
  measures: dict[str, float],
  clothes: appearance.Clothes,
  central: dict[str, Array],
  spine: Array,
) -> Array:
  """Adds the torso; returns the frames of its slices [17, s, 3, 3], upward."""
  levels = np.array([level[0] for level in _TORSO_LEVELS])
  breadths = [measures[name] * f for _, name, f, _, _ in _TORSO_LEVELS]
  depths = [measures[name] * f for _, _, _, name, f in _TORSO_LEVELS]
  share = np.clip(_SLICES, 0.0, 1.0)[:, None]
  yaw, roll = (
    (1.0 - share) * central[f"pelvis_{kind}"]
    + share * central[f"shoulder_{kind}"]
    for kind in ("yaw", "roll")
  )
  frames = _frame(yaw, roll, np.broadcast_to(spine, (*yaw.shape, 3)))
  length = _torso_length(measures)
  # A shirt thins out towards the neck.
  cloth = clothes.torso * np.interp(_SLICES, [0.9, 1.03], [1.0, 0.5])
  half_axes = np.stack(
    [
      0.5 * np.interp(_SLICES, levels, depths) + cloth,
      0.5 * np.interp(_SLICES, levels, breadths) + cloth,
      np.full(len(_SLICES), 1.7 * length * (_SLICES[1] - _SLICES[0])),
    ],
    -1,
  )
  centres = _SLICES[:, None, None] * length * spine
  out.slices(centres[:_HIPS], frames[:_HIPS], half_axes[:_HIPS], "hips")
  out.slices(centres[_HIPS:], frames[_HIPS:], half_axes[_HIPS:], "shirt")
  return frames


def _torso_length(measures: dict[str, float]) -> float:
  # The shoulder joint lies 4.5 cm below the acromion.
  shoulder = measures["acromial_height"] - 0.045
  return shoulder - measures["trochanterion_height"]


def _head(
  out: shapes_lib.Collector,
  measures: dict[str, float],
  clothes: appearance.Clothes,
  central: dict[str, Array],
  neck: Array,
) -> list[Array]:
  """Adds neck, head, hair, collar and hood above the shoulders' middle.

  Returns:
    Nose, eyes and ears, each [s, 3].
  """
  half_height = 0.118 * (measures["stature"] / 1.70) ** 0.35
  rise = measures["stature"] - half_height
  rise -= measures["acromial_height"] - 0.045
  lean, aside = central["head_a"], central["head_b"]
  up = np.stack(
    [np.sin(lean) * np.cos(aside), np.sin(aside), np.cos(lean) * np.cos(aside)],
    -1,
  )
  frame = _frame(central["shoulder_yaw"], np.zeros_like(lean), up)
  forward, upward = frame[..., 0], frame[..., 2]
  centre = neck + rise * up + _HEAD_FORWARD * forward
  half_length = 0.93 * measures["head_length"] / 2.0
  half_breadth = measures["head_breadth"] / 2.0
  r_neck = _radius(measures, "neck", 0.95)
  chin = centre - 0.3 * half_height * upward
  out.capsule(neck, chin, r_neck, r_neck, "skin")
  out.ellipsoid(
    centre + 0.012 * forward,
    frame,
    (0.90 * half_length, 0.92 * half_breadth, half_height),
    "skin",
  )
  hair = clothes.hair
  cranium = centre + (0.24 * half_height) * upward - 0.006 * forward
  out.ellipsoid(
    cranium,
    frame,
    (half_length + hair, half_breadth + hair, 0.76 * half_height + hair),
    "hair",
  )
  back = cranium - half_length * forward
  if clothes.long_hair:
    end = centre - clothes.long_hair * upward - 0.065 * forward
    out.capsule(back + 0.05 * forward, end, 0.055, 0.045, "hair")
  if clothes.bun:
    out.capsule(back, back, clothes.bun, clothes.bun, "hair")
  if clothes.collar:
    top = neck + (0.03 + clothes.collar) * up
    out.capsule(neck, top, r_neck + 0.045, r_neck + 0.025, "collar")
  if clothes.hood:
    behind = neck + 0.05 * up - 0.085 * forward
    out.ellipsoid(behind, frame, (0.075, 0.13, 0.10), "hood")
  size = np.array([half_length, half_breadth, half_height])
  return [centre + frame @ (size * place) for place in _FACE]


def _hem(
  out: shapes_lib.Collector,
  measures: dict[str, float],
  clothes: appearance.Clothes,
  hips: list[Array],
  thighs: list[Array],
) -> None:
  """Adds the part of a shirt or a coat that hangs around the thighs."""
  if clothes.hem < 0.05:
    return
  top = _radius(measures, "thigh", 0.88) + clothes.torso
  bottom = 0.80 * top + 0.2 * clothes.torso + clothes.hem_flare
  # Cloth follows the legs only in part; the rest hangs between them.
  hang = 0.5 * (thighs[0] + thighs[1])
  ends = [
    hip + clothes.hem * (0.65 * thigh + 0.35 * hang)
    for hip, thigh in zip(hips, thighs, strict=True)
  ]
  for hip, end in zip(hips, ends, strict=True):
    out.capsule(hip, end, top, bottom, "hem")
  out.capsule(ends[0], ends[1], bottom, bottom, "hem")
  if clothes.hem > 0.5:
    # Cloth spans the legs all the way down, not only at the hem.
    middles = [0.5 * (h + e) for h, e in zip(hips, ends, strict=True)]
    out.capsule(middles[0], middles[1], 0.5 * (top + bottom), top, "hem")


def _bag(
  out: shapes_lib.Collector,
  measures: dict[str, float],
  clothes: appearance.Clothes,
  bag: appearance.Bag,
  torso: Array,
  spine: Array,
  hands: dict[int, Array],
) -> None:
  """Adds a bag."""
  ahead, aside, up = bag.half_axes
  length = _torso_length(measures)
  if bag.kind == "backpack":
    frame = torso[10]
    gap = 0.5 * measures["chest_depth"] + clothes.torso + 0.6 * ahead
    centre = 0.58 * length * spine - gap * frame[..., 0]
  elif bag.kind == "side":
    frame = torso[2]
    gap = 0.5 * measures["hip_breadth"] + clothes.torso + 0.7 * aside
    centre = bag.side * gap * frame[..., 1] - 0.06 * spine
  else:
    frame = np.broadcast_to(np.eye(3), torso[0].shape)
    centre = hands[bag.side] - np.array([0.0, 0.0, 0.9 * up])
  out.ellipsoid(centre, frame, bag.half_axes, "bag")


def build(
  measures: dict[str, float],
  clothes: appearance.Clothes,
  bag: appearance.Bag | None,
  walk: motion.Walk,
) -> shapes_lib.Shapes:
  """Poses a body.

  Args:
    measures: The body, as `body.sample` returns it.
    clothes: What it wears.
    bag: What it carries.
    walk: Its joint angles, s frames.

  Returns:
    The figure's primitives, about 26 capsules and 20 ellipsoids.
  """
  central = dict(zip(motion.CENTRAL, walk.central, strict=True))
  sides = {
    1: dict(zip(motion.SIDED, walk.left, strict=True)),
    -1: dict(zip(motion.SIDED, walk.right, strict=True)),
  }
  out = shapes_lib.Collector()
  # Positive angles of the trunk lean forward and to the left.
  lean, aside = central["trunk_a"], central["trunk_b"]
  spine = np.stack(
    [np.sin(lean) * np.cos(aside), np.sin(aside), np.cos(lean) * np.cos(aside)],
    -1,
  )
  torso = _torso(out, measures, clothes, central, spine)
  pelvis_left, shoulder_left = torso[2][..., 1], torso[-1][..., 1]
  neck = _torso_length(measures) * spine
  face = _head(out, measures, clothes, central, neck + 0.02 * spine)

  half_hips = 0.05 * measures["stature"]
  half_hips += 0.125 * (measures["hip_breadth"] - 0.345)
  half_shoulders = 0.45 * measures["biacromial_breadth"]
  hips, thighs, floors, hands, chains = [], [], [], {}, []
  for side, angles in sides.items():
    hip = side * half_hips * pelvis_left
    thigh, ankle, floor = _leg(out, measures, clothes, angles, hip, side)
    shoulder = neck + side * half_shoulders * shoulder_left
    # Without this slope from neck to shoulder the figure looks boxy.
    slope = 0.045 + 0.6 * clothes.torso
    round_end = 0.040 + 0.6 * clothes.sleeve
    base, end = neck + 0.045 * spine, shoulder - 0.015 * spine
    out.capsule(base, end, slope, round_end, "shirt")
    elbow, wrist, hands[side] = _arm(
      out, measures, clothes, angles, shoulder, side
    )
    hips.append(hip)
    thighs.append(thigh)
    floors.append(floor)
    chains.append((shoulder, elbow, wrist, hip, hip + thigh, ankle))
  _hem(out, measures, clothes, hips, thighs)
  if bag is not None:
    _bag(out, measures, clothes, bag, torso, spine, hands)
  joints = [*face, *itertools.chain(*zip(*chains, strict=True))]
  return out.shapes(np.minimum(*floors), joints)
