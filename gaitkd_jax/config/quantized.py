"""Recipes of quantised networks: QGait's two stages (arXiv 2405.13859).

Bits, rates and lengths are our reading of the paper, whose formulas and tables
are not public.
"""

import re

from ml_collections import ConfigDict

from gaitkd_jax import errors
from gaitkd_jax.config import defaults
from gaitkd_jax.config import networks
from gaitkd_jax.config import recipes

# Of the name that papers write in capitals.
_BITS = re.compile(r"w(\d)a(\d)")


def read_bits(name: str) -> tuple[int, int]:
  """Bits of weights and activations from a name such as "w4a8"."""
  match = _BITS.fullmatch(name)
  if not match:
    raise errors.UserError(f"bits are {name!r}; write them as w4a8")
  weights, activations = map(int, match.groups())
  return weights, activations


def two_stages(c: ConfigDict, bits: str) -> ConfigDict:
  """Quantises the network of a recipe, from its float checkpoint on.

  Two thirds of the steps are straight-through, at the given rate; in the last
  third the rounding is soft, its sharpness rises from 2 to 8, the rate is a
  tenth and normalisations hold. For the last fifth of it steps are frozen. All
  along, distances between different people are held to those of the float
  network (`terms.idc`). `train.init_from` names its checkpoint for both.

  Args:
    c: the float network's recipe; it is changed.
    bits: such as "w4a8".

  Returns:
    The config. Its stages follow a later change of `train.steps`.
  """
  q = c.quantization
  q.weights, q.activations = read_bits(bits)
  steps = c.train.get_ref("steps")
  second = steps * 2 // 3
  q.rounding = "soft"
  q.rounding_from = q.hold_norms_from = second
  q.freeze_scales_from = steps - steps // 15
  q.sharpness = ConfigDict(
    dict(kind="ramp", start=2.0, end=8.0, begin=second, steps=steps)
  )
  c.optim.schedule = ConfigDict(dict(kind="drop", at=second, gamma=0.1))
  c.teachers.float = defaults.teacher(
    c.model.copy_and_resolve_references(),
    decision_weight=0.0,
    boundary_weight=0.0,
  )
  c.teachers.float.checkpoint = c.train.get_ref("init_from")
  c.terms.idc = defaults.term("idc", teacher="float")
  return c


def qgait(data: str, bits: str) -> ConfigDict:
  """GaitBase in few bits on a benchmark, in half as many steps as in float.

  Args:
    data: "casiab", "gait3d", "grew" or "oumvlp".
    bits: see `two_stages`.

  Returns:
    The config; `train.init_from` is empty, for the user to name.
  """
  c = recipes.supervised(
    data,
    networks.gaitbase(),
    defaults.clip("fixed_unordered", frames=30, skip=0),
    defaults.da_augment(),
  )
  c.train.steps //= 2
  c.optim.learning_rate = 0.01
  return two_stages(c, bits)


def walkers_qgait(bits: str) -> ConfigDict:
  """The walkers' student in few bits, from `configs/walkers_baseline.py`'s."""
  c = recipes.walkers_student()
  c.train.steps, c.train.checkpoint_every = 150, 50
  c.optim.learning_rate = 1e-3
  c.quantization.scale_rate = 0.1  # Adam's steps know no size of a gradient
  c.train.init_from = "runs/walkers_baseline"
  return two_stages(c, bits)
