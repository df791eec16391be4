"""Which quantisation the layers of a network find while it is called.

Networks are written without a word of it: `GaitNetwork.__call__` attaches its
settings for the time of the call, and those modules that hold weights or make
what others convolve ask for them. Nothing is attached around a float network,
so that both may be called in one step.
"""

from collections.abc import Iterator
import contextlib
import contextvars
import dataclasses

import jax

from gaitkd_jax.quantize import settings as settings_lib


@dataclasses.dataclass(frozen=True)
class Phase:
  """What the quantisation of a training step takes from its number.

  Attributes:
    rounds: bool scalar, whether the rounding of the settings has its own
      derivative by now; straight-through before.
    sharpness: float32 scalar, of `rounding.round_soft`.
    holds: bool scalar, whether the normalisations of convolutions keep their
      running statistics and use them; None: they never do.
    freezes: bool scalar, whether observed steps of activations no longer follow
      their values; None: they always do. Learned ones are the optimiser's.
  """

  rounds: jax.Array | bool = True
  sharpness: jax.Array | float = 4.0
  holds: jax.Array | None = None
  freezes: jax.Array | None = None


@dataclasses.dataclass(frozen=True)
class Attached:
  """What layers find.

  Attributes:
    settings: of the network.
    phase: of the training step; None in an evaluation.
    observes: whether layers, instead of quantising, note what steps their
      values ask for (`calibration`).
  """

  settings: settings_lib.Settings
  phase: Phase | None = None
  observes: bool = False


_attached: contextvars.ContextVar[Attached | None] = contextvars.ContextVar(
  "attached", default=None
)
_phase: contextvars.ContextVar[Phase | None] = contextvars.ContextVar(
  "phase", default=None
)
_observes: contextvars.ContextVar[bool] = contextvars.ContextVar(
  "observes", default=False
)


def current() -> Attached | None:
  """What is attached to the network that is being called; None: float."""
  return _attached.get()


@contextlib.contextmanager
def attach(settings: settings_lib.Settings | None) -> Iterator[None]:
  """Attaches a network's settings, or none, to the layers called within."""
  found = None
  if settings is not None:
    found = Attached(settings, _phase.get(), _observes.get())
  token = _attached.set(found)
  try:
    yield
  finally:
    _attached.reset(token)


@contextlib.contextmanager
def phase(value: Phase | None) -> Iterator[None]:
  """Networks called within are in this phase of a training."""
  token = _phase.set(value)
  try:
    yield
  finally:
    _phase.reset(token)


@contextlib.contextmanager
def observing() -> Iterator[None]:
  """Networks called within note what steps their values ask for."""
  token = _observes.set(True)
  try:
    yield
  finally:
    _observes.reset(token)
