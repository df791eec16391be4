"""Optimisers as OpenGait's recipes mean them."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax.models import network as network_lib
from gaitkd_jax.models import quantizers
from gaitkd_jax.training import schedules


def create_optimizer(
  config: Mapping[str, Any],
  network: models.GaitNetwork | None = None,
  quantization: Mapping[str, Any] | None = None,
) -> tuple[optax.GradientTransformation, optax.Schedule]:
  """Builds the optimiser.

  Weight decay of "sgd" and "adam" is PyTorch's: L2 of every parameter (biases
  and normalisations included) added to the gradient before the momentum. That
  of "adamw" is decoupled. Gradients are clipped first, before the decay.

  Args:
    config: `name` ("sgd", "adam", "adamw"), `learning_rate`, `schedule` (how
      it changes: the `kind` and keys of `schedules.create_schedule` without
      the value), `weight_decay`, `momentum` (sgd), `clip_norm` (largest
      global norm of the gradient; 0 for none), and optionally `groups`: the
      name of one of the network's `optimizer_groups`, by which parameters
      learn at unequal rates (the schedule then starts at a multiple of
      `learning_rate` for some) and decay or not. Empty: all are alike.
    network: the network that is trained; None knows the groups of all.
    quantization: `config.quantization`, of which `scale_rate` and
      `freeze_scales_from` are read. What quantisers learn never decays.

  Returns:
    The transformation and the schedule of `learning_rate` itself.

  Raises:
    UserError: unknown name or schedule, or groups that the network lacks.
  """
  group = _grouping(config.get("groups", ""), network)
  freeze = 0
  if network and network.quantization and quantization:
    group = _with_scales(group, quantization["scale_rate"])
    freeze = quantization["freeze_scales_from"]
  rate = config["learning_rate"]

  def schedule_of(multiple: float) -> optax.Schedule:
    return schedules.create_schedule(
      {"value": multiple * rate, **config["schedule"]}, "optim.schedule"
    )

  schedule = schedule_of(1.0)
  scale = optax.scale_by_learning_rate(schedule)
  decay = optax.add_decayed_weights(config["weight_decay"])
  if group:
    scale = _scale_by_group(schedule_of, group, freeze)
    decay = optax.add_decayed_weights(
      config["weight_decay"],
      mask=lambda params: _by_path(lambda path: group(path).decays, params),
    )
  clip = config["clip_norm"]
  if config["name"] == "sgd":
    steps = [decay, optax.trace(config["momentum"])]
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


def hold(
  config: Mapping[str, Any], network: models.GaitNetwork
) -> Callable[[Any], Any] | None:
  """What keeps gradients from parameters that never learn.

  Where these come first in the network, neither their backward pass is computed
  nor are their feature maps kept for it.

  Args:
    config: see `create_optimizer`.
    network: the network that is trained.

  Returns:
    A function from the parameters to the same, without a gradient to those of a
    group of rate 0; None if there are no groups.

  Raises:
    UserError: groups that the network lacks.
  """
  group = _grouping(config.get("groups", ""), network)
  if group is None:
    return None

  def held(params: Any) -> Any:
    stop = jax.lax.stop_gradient
    return jax.tree.map_with_path(
      lambda path, x: x if group([k.key for k in path]).rate else stop(x),
      params,
    )

  return held


def _grouping(
  name: str, network: models.GaitNetwork | None
) -> network_lib.Grouping | None:
  """The network's groups of this name; none if it is empty."""
  if not name:
    return None
  known = dict(network.optimizer_groups) if network else {}
  for other in () if network else models.MODELS.values():
    known |= other.optimizer_groups
  if name not in known:
    advice = (
      f"give nothing or {', '.join(known)}" if known else "leave it empty"
    )
    raise errors.UserError(
      f"optim.groups is {name!r}, which the model does not have; {advice}"
    )
  return known[name]


def _with_scales(
  group: network_lib.Grouping | None, rate: float
) -> network_lib.Grouping:
  """The groups, and one of what quantisers learn, which does not decay."""

  def grouping(path: Sequence[str]) -> network_lib.ParameterGroup:
    found = group(path) if group else network_lib.ParameterGroup(1.0, True)
    if path[-1] in quantizers.LEARNED:
      found = network_lib.ParameterGroup(rate * found.rate, decays=False)
    return found

  return grouping


def _scale_by_group(
  schedule_of: Callable[[float], optax.Schedule],
  group: network_lib.Grouping,
  freeze_scales_from: int,
) -> optax.GradientTransformation:
  """Multiplies every update by minus the rate of its group."""

  def init(params: Any) -> optax.ScaleByScheduleState:
    del params
    return optax.ScaleByScheduleState(count=jnp.zeros([], jnp.int32))

  def update(
    updates: Any, state: optax.ScaleByScheduleState, params: Any = None
  ) -> tuple[Any, optax.ScaleByScheduleState]:
    del params

    def rate_of(path: Sequence[str]) -> jax.Array:
      rate = schedule_of(group(path).rate)(state.count)
      if freeze_scales_from and path[-1] in quantizers.LEARNED:
        rate = jnp.where(state.count < freeze_scales_from, rate, 0.0)
      return rate

    rates = _by_path(rate_of, updates)
    updates = jax.tree.map(lambda rate, u: -rate * u, rates, updates)
    count = optax.safe_increment(state.count)
    return updates, optax.ScaleByScheduleState(count=count)

  return optax.GradientTransformation(init, update)


def _by_path(function: Callable[[Sequence[str]], Any], tree: Any) -> Any:
  return jax.tree.map_with_path(
    lambda path, _: function([k.key for k in path]), tree
  )
