"""Optimisers as OpenGait's recipes mean them."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from gaitkd_jax import errors
from gaitkd_jax.training import schedules


def _swingait(path: Sequence[str]) -> tuple[float, bool]:
  """OpenGait's groups for SwinGait, which starts from a DeepGaitV2.

  All but the transformer learn at a tenth; patch embedding, bias tables and the
  blocks' and last normalisations do not decay.
  """
  if path[0] != "transformer":
    return 0.1, True
  undecayed = {"patch_embed", "norm", "norm1", "norm2", "bias_table"}
  return 1.0, undecayed.isdisjoint(path)


# From a parameter's path to its multiple of the learning rate, and whether it
# decays.
_Group = Callable[[Sequence[str]], tuple[float, bool]]
GROUPS: Mapping[str, _Group] = {"swingait": _swingait}


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
      the value), `weight_decay`, `momentum` (sgd), `clip_norm` (largest
      global norm of the gradient; 0 for none), and optionally `groups`
      (parameters that learn and decay differently: see `GROUPS`; the schedule
      starts at a multiple of `learning_rate` for some).

  Returns:
    The transformation and the schedule of `learning_rate` itself.

  Raises:
    UserError: unknown name, groups or schedule.
  """
  name = config.get("groups", "")
  if name and name not in GROUPS:
    raise errors.UserError(
      f"optim.groups is {name!r}; give nothing or {', '.join(GROUPS)}"
    )
  group = GROUPS.get(name)
  rate = config["learning_rate"]

  def schedule_of(multiple: float) -> optax.Schedule:
    return schedules.create_schedule(
      {"value": multiple * rate, **config["schedule"]}, "optim.schedule"
    )

  schedule = schedule_of(1.0)
  scale = optax.scale_by_learning_rate(schedule)
  decay = optax.add_decayed_weights(config["weight_decay"])
  if group:
    scale = _scale_by_group(schedule_of, group)
    decay = optax.add_decayed_weights(
      config["weight_decay"],
      mask=lambda params: _by_path(lambda path: group(path)[1], params),
    )
  clip = config["clip_norm"]
  if config["name"] == "sgd":
    steps = [
      decay,
      optax.trace(config["momentum"]),
    ]
  elif config["name"] == "adam":
    steps = [decay, optax.scale_by_adam()]
  elif config["name"] == "adamw":
    steps = [optax.scale_by_adam(), decay]
  else:
    raise errors.UserError(
      f"optim.name is {config['name']!r}; give sgd, adam or adamw"
    )
  if clip:
    steps.insert(0, optax.clip_by_global_norm(clip))
  return optax.chain(*steps, scale), schedule


def _scale_by_group(
  schedule_of: Callable[[float], optax.Schedule], group: _Group
) -> optax.GradientTransformation:
  """Multiplies every update by minus the rate of its group."""

  def init(params):
    if params and not {"transformer", "connectors"} & set(params):
      raise errors.UserError(
        "optim.groups asks for a transformer, which the model does not have; "
        "leave it empty"
      )
    return optax.ScaleByScheduleState(count=jnp.zeros([], jnp.int32))

  def update(updates, state, params=None):
    del params
    rates = _by_path(
      lambda path: schedule_of(group(path)[0])(state.count), updates
    )
    updates = jax.tree.map(lambda rate, u: -rate * u, rates, updates)
    count = optax.safe_increment(state.count)
    return updates, optax.ScaleByScheduleState(count=count)

  return optax.GradientTransformation(init, update)


def _by_path(function: Callable[[Sequence[str]], Any], tree: Any) -> Any:
  return jax.tree.map_with_path(
    lambda path, _: function([k.key for k in path]), tree
  )
