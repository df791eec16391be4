"""What a subject wears and carries.

The ranges are chosen by hand to look like everyday clothing. Lengths are in
metres; those of hems are fractions of the thigh.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Clothes:
  """A subject's clothes and hair, the same in all of its sequences.

  Attributes:
    trousers: Added to the radius of thighs and shanks.
    flare: Added to the radius at the ankle on top of `trousers`.
    torso: Added to the half axes of the torso.
    sleeve: Added to the radius of the upper arms.
    cuff: Added to the radius of the forearms (0: short sleeves).
    hem: Length of the shirt or coat below the hip joint.
    hem_flare: Added to the radius at the hem.
    collar: Height of the collar above the shoulders.
    hood: Whether a hood hangs behind the neck.
    hair: Thickness of the hair.
    long_hair: Length of the hair behind the neck (0: none).
    bun: Radius of a bun behind the head (0: none).
    shoe: Thickness of the shoe around the foot.
  """

  trousers: float
  flare: float
  torso: float
  sleeve: float
  cuff: float
  hem: float
  hem_flare: float
  collar: float
  hood: bool
  hair: float
  long_hair: float
  bun: float
  shoe: float


@dataclasses.dataclass(frozen=True)
class Bag:
  """A bag.

  Attributes:
    kind: "backpack", "side" or "hand".
    side: +1 left, -1 right (meaningless for a backpack).
    half_axes: The ellipsoid's, forward, left and up.
  """

  kind: str
  side: int
  half_axes: tuple[float, float, float]

  @property
  def swing(self) -> tuple[float, float]:
    """Factors on the swing of the left and the right arm."""
    if self.kind == "backpack":
      return 0.85, 0.85
    return (0.45, 1.0) if self.side > 0 else (1.0, 0.45)


_BAGS = {
  "backpack": (0.09, 0.15, 0.20),
  "side": (0.15, 0.055, 0.13),
  "hand": (0.15, 0.05, 0.12),
}

# Torso, sleeve, hem, hem flare, collar, hood. There are few types, so that many
# subjects share one and a coat does not give away who wears it.
_COATS = (
  (0.022, 0.014, 0.30, 0.000, 0.05, False),
  (0.040, 0.026, 0.42, 0.005, 0.08, True),
  (0.028, 0.018, 0.72, 0.020, 0.06, False),
  (0.055, 0.034, 0.58, 0.010, 0.11, True),
  (0.034, 0.020, 0.98, 0.030, 0.07, False),
  (0.046, 0.028, 1.15, 0.040, 0.10, False),
)


def sample_clothes(rng: np.random.Generator, female: bool) -> Clothes:
  """Draws a subject's clothes."""
  trousers, torso, sleeve, hair, shoe = rng.uniform(
    (0.004, 0.003, 0.002, 0.004, 0.003), (0.022, 0.018, 0.015, 0.020, 0.010)
  )
  flare = rng.uniform(0.0, 0.020) if rng.random() < 0.5 else 0.0
  hem = rng.uniform(0.0, 0.35)
  short_sleeves = rng.random() < 0.35
  long_hair = bun = 0.0
  if female:
    if rng.random() < 0.55:
      long_hair = rng.uniform(0.10, 0.26)
    elif rng.random() < 0.40:
      bun = rng.uniform(0.030, 0.045)
  return Clothes(
    trousers=trousers,
    flare=flare,
    torso=torso,
    sleeve=sleeve,
    cuff=0.0 if short_sleeves else sleeve,
    hem=hem,
    hem_flare=0.0,
    collar=0.0,
    hood=False,
    hair=hair,
    long_hair=long_hair,
    bun=bun,
    shoe=shoe,
  )


def sample_bag(rng: np.random.Generator) -> Bag:
  """Draws a subject's bag."""
  kind = tuple(_BAGS)[rng.integers(len(_BAGS))]
  side = 1 if rng.random() < 0.5 else -1
  scales = rng.uniform(0.75, 1.25, 3)
  half_axes = tuple(float(v) for v in np.array(_BAGS[kind]) * scales)
  return Bag(kind, side, half_axes)


def put_on_coat(rng: np.random.Generator, clothes: Clothes) -> Clothes:
  """Returns the clothes with the subject's coat over them."""
  torso, sleeve, hem, flare, collar, hood = _COATS[rng.integers(len(_COATS))]
  scale = rng.uniform(0.85, 1.15)
  return dataclasses.replace(
    clothes,
    torso=clothes.torso + torso * scale,
    sleeve=clothes.sleeve + sleeve * scale,
    cuff=clothes.cuff + sleeve * scale,
    hem=min(hem * scale, 1.15),
    hem_flare=flare * scale,
    collar=collar * scale,
    hood=hood,
  )
