"""What `config.quantization` says, checked, in a form that networks keep."""

from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
from typing import Any

from gaitkd_jax import errors
from gaitkd_jax.quantize import observers

ROUNDINGS = ("ste", "soft", "ewgs", "dsq")
_BITS = (0, 2, 3, 4, 5, 6, 7, 8)
# Of the first convolution's weights and of the linear layers, whatever the rest
# has: little is saved there, and much lost (QGait and most others keep them).
EDGE_BITS = 8


@dataclasses.dataclass(frozen=True)
class Settings:
  """How a network is quantised.

  What changes with the step of a training is no part of it; see `Phase` in
  `attached`.

  Attributes:
    weights: bits of the weights; 0: float.
    activations: bits of the activations; 0: float.
    rounding: whose derivative training takes, of `ROUNDINGS`.
    scales: "learned" by the gradient, or "observed" by `observer` at every
      training step.
    observer: of `observers.OBSERVERS`; also gives learned scales their start.
    range: of the weights' codes, "full" or "half"; see `uniform.signed`.
    forward: "hard", or "soft": training computes with the stair itself instead
      of the rounded values (rounding "soft" and "dsq"). Evaluations are hard.
    ewgs_delta: of `rounding.round_ewgs`.
  """

  weights: int = 8
  activations: int = 8
  rounding: str = "ste"
  scales: str = "learned"
  observer: str = "least_squares"
  range: str = "full"
  forward: str = "hard"
  ewgs_delta: float = 0.02

  @property
  def name(self) -> str:
    """Such as "W4A8", as papers write it; "float" stands for 0 bits."""
    parts = (
      f"{letter}{bits or 'float'}"
      for letter, bits in (("W", self.weights), ("A", self.activations))
    )
    return "".join(parts)

  @property
  def form(self) -> dict[str, Any]:
    """What decides what the network computes: JSON, kept with checkpoints."""
    return {
      "weights": self.weights,
      "activations": self.activations,
      "range": self.range,
      "scales": self.scales,
    }


def create_settings(config: Mapping[str, Any] | None) -> Settings | None:
  """Reads `config.quantization`.

  Args:
    config: the section, whose keys are those of `Settings` and others, which
      training reads; None is a float network.

  Returns:
    The settings; None if neither weights nor activations have bits.

  Raises:
    errors.UserError: a value that does not exist, or does not fit another.
  """
  if not config or not (config["weights"] or config["activations"]):
    return None
  found = errors.Mistakes()
  found.add(mistakes(config))
  found.check()
  fields = [field.name for field in dataclasses.fields(Settings)]
  return Settings(**{key: config[key] for key in fields if key in config})


def mistakes(config: Mapping[str, Any]) -> Iterator[str]:
  """What of `config.quantization` cannot work, one line each.

  Args:
    config: the section; it may lack keys.
  """
  allowed = {
    "weights": _BITS,
    "activations": _BITS,
    "rounding": ROUNDINGS,
    "scales": ("learned", "observed"),
    "observer": tuple(observers.OBSERVERS),
    "range": ("full", "half"),
    "forward": ("hard", "soft"),
  }
  for key, values in allowed.items():
    if key in config and config[key] not in values:
      yield (
        f"config.quantization.{key} is {config[key]!r}; give one of "
        f"{', '.join(map(str, values))}"
      )
  least = {
    "batches": 1,
    "ewgs_delta": 0,
    "scale_rate": 0,
    "rounding_from": 0,
    "hold_norms_from": 0,
    "freeze_scales_from": 0,
  }
  for key, value in least.items():
    if key in config and config[key] < value:
      yield (
        f"config.quantization.{key} is {config[key]}; give at least {value}"
      )
  rounding = config.get("rounding", Settings.rounding)
  if config.get("forward") == "soft" and rounding in ("ste", "ewgs"):
    yield (
      f"config.quantization.forward is soft, and rounding {rounding} has no "
      "soft values; give rounding soft or dsq, or forward hard"
    )


def describe(form: Mapping[str, Any] | None) -> str:
  """The form of a checkpoint in words: "float", or such as "W4A8"."""
  if not form:
    return "float"
  name = Settings(form["weights"], form["activations"]).name
  more = [f"{key} {form[key]}" for key in ("range", "scales") if key in form]
  return f"{name} ({', '.join(more)})"
