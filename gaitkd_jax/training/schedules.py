"""Numbers that may change with the step, as configs write them."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax

from gaitkd_jax import errors

_KINDS = {
  "constant": ("value",),
  "linear": ("start", "end", "steps"),
  "cosine": ("start", "end", "steps"),
  "ramp": ("start", "end", "begin", "steps"),
  "multistep": ("value", "milestones", "gamma"),
  "drop": ("value", "at", "gamma"),
  "onecycle": ("value", "steps", "warmup"),
  "swin_cosine": ("value", "steps"),
}
# OpenGait's schedule of SwinGait: steps between changes, and the least value.
_SWIN_EVERY = 1000
_SWIN_FLOOR = 1e-6


def create_schedule(
  spec: float | Mapping[str, Any], name: str
) -> optax.Schedule:
  """Turns a number, or a mapping with a `kind`, into a schedule.

  Kinds and their keys (steps are optimiser steps):
    constant: value.
    linear, cosine: from `start` to `end` within `steps`, `end` afterwards.
    ramp: `start` until step `begin`, then linear to `end` at `steps`.
    drop: `value`, times `gamma` from step `at` on.
    multistep: `value`, times `gamma` at each of `milestones` (PyTorch's
      MultiStepLR).
    onecycle: linear from 0 to `value` in `warmup` steps, then a cosine to 0
      at `steps`.
    swin_cosine: a cosine from `value` to 0 that is taken every 1000 steps, held
      between, and at least 1e-6; 1e-6 from `steps` on.

  Args:
    spec: the number or mapping.
    name: the config's key, for messages.

  Returns:
    A function from the step (array) to a float32 scalar.

  Raises:
    UserError: unknown kind, or a key that is missing or too many.
  """
  if not hasattr(spec, "items"):
    try:
      # Of numpy: a step that is compiled with an array of the device within
      # would fetch it, which the training loop forbids.
      value = np.asarray(float(spec), np.float32)
    except (TypeError, ValueError) as e:
      raise errors.UserError(
        f"config.{name} is {spec!r}; give a number or a schedule"
      ) from e
    return optax.schedules.constant_schedule(value)
  keys = dict(spec.items())
  kind = keys.pop("kind", None)
  if kind not in _KINDS or set(keys) != set(_KINDS[kind]):
    known = "; ".join(f"{k}: {', '.join(v)}" for k, v in _KINDS.items())
    raise errors.UserError(
      f"config.{name} is {dict(spec.items())}; give a number or one of the "
      f"kinds {known}"
    )
  if not 0 <= keys.get("warmup", 0) < keys.get("steps", 1):
    raise errors.UserError(
      f"config.{name} is {dict(spec.items())}; steps must be positive, and "
      "warmup fewer"
    )
  if not 0 <= keys.get("begin", 0) < keys.get("steps", 1):
    raise errors.UserError(
      f"config.{name} is {dict(spec.items())}; begin must be fewer than steps"
    )
  if kind == "constant":
    return create_schedule(keys["value"], name)
  if kind == "linear":
    return optax.schedules.linear_schedule(
      keys["start"], keys["end"], keys["steps"]
    )
  if kind == "ramp":
    return optax.schedules.linear_schedule(
      keys["start"], keys["end"], keys["steps"] - keys["begin"], keys["begin"]
    )
  if kind == "drop":
    return optax.schedules.piecewise_constant_schedule(
      keys["value"], {keys["at"]: keys["gamma"]}
    )
  if kind == "cosine":
    start, end = keys["start"], keys["end"]
    shape = optax.schedules.cosine_decay_schedule(1.0, keys["steps"])
    return lambda step: end + (start - end) * shape(step)
  if kind == "multistep":
    return optax.schedules.piecewise_constant_schedule(
      keys["value"], {m: keys["gamma"] for m in keys["milestones"]}
    )
  if kind == "swin_cosine":
    shape = optax.schedules.cosine_decay_schedule(1.0, keys["steps"])
    value = keys["value"]
    return lambda step: jnp.maximum(
      value * shape(step // _SWIN_EVERY * _SWIN_EVERY), _SWIN_FLOOR
    )
  return optax.schedules.warmup_cosine_decay_schedule(
    0.0, keys["value"], keys["warmup"], keys["steps"]
  )
