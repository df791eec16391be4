"""Optimisers as OpenGait's recipes mean them."""

from collections.abc import Mapping
from typing import Any

import optax

from gaitkd_jax import errors
from gaitkd_jax import schedules


def create_optimizer(
  config: Mapping[str, Any],
) -> tuple[optax.GradientTransformation, optax.Schedule]:
  """Builds the optimiser.

  Weight decay of "sgd" and "adam" is PyTorch's: L2 of every parameter (biases
  and normalisations included) added to the gradient before the momentum. That
  of "adamw" is decoupled. Gradients are clipped first, before the decay.

  Args:
    config: `name` ("sgd", "adam", "adamw"), `learning_rate`, `schedule` (how
      it changes: the `kind` and keys of `schedules.create_schedule` without
      the value), `weight_decay`, `momentum` (sgd), and `clip_norm` (largest
      global norm of the gradient; 0 for none).

  Returns:
    The transformation and the learning rate's schedule.

  Raises:
    UserError: unknown name or schedule.
  """
  schedule = schedules.create_schedule(
    {"value": config["learning_rate"], **config["schedule"]}, "optim.schedule"
  )
  decay = config["weight_decay"]
  clip = config["clip_norm"]
  if config["name"] == "sgd":
    steps = [
      optax.add_decayed_weights(decay),
      optax.trace(config["momentum"]),
    ]
  elif config["name"] == "adam":
    steps = [optax.add_decayed_weights(decay), optax.scale_by_adam()]
  elif config["name"] == "adamw":
    steps = [optax.scale_by_adam(), optax.add_decayed_weights(decay)]
  else:
    raise errors.UserError(
      f"optim.name is {config['name']!r}; give sgd, adam or adamw"
    )
  if clip:
    steps.insert(0, optax.clip_by_global_norm(clip))
  return optax.chain(*steps, optax.scale_by_learning_rate(schedule)), schedule
