"""The state, and the jitted functions that a program repeats."""

from collections.abc import Callable
from collections.abc import Mapping
import functools
from typing import Any

from flax import struct
import jax
import jax.numpy as jnp
from jax.sharding import Mesh
import optax

from gaitkd_jax import distill
from gaitkd_jax import losses
from gaitkd_jax import models
from gaitkd_jax import placement
from gaitkd_jax import quantize
from gaitkd_jax import sharding
from gaitkd_jax.models import inputs
from gaitkd_jax.training import schedules

Batch = Mapping[str, jax.Array]
# Streams of random numbers.
_AUX = 1
_TERMS = 1


@struct.dataclass
class TrainState:
  """What training changes: arrays only.

  Attributes:
    step: int32, finished optimiser steps.
    params: the student's parameters.
    batch_stats: its running statistics.
    opt_state: of the optimiser.
    aux: what only training needs beside the student, see
      `distill.Objective.init_aux`; never in the item "model" of a checkpoint.
    aux_opt_state: of the optimiser, for the parameters in `aux`.
  """

  step: jax.Array
  params: Any
  batch_stats: Any
  opt_state: Any
  aux: Any = struct.field(default_factory=dict)
  aux_opt_state: Any = ()

  @property
  def variables(self) -> dict[str, Any]:
    """What `module.apply` takes."""
    return {"params": self.params, "batch_stats": self.batch_stats}


def make_init(
  module: models.GaitNetwork,
  optimizer: optax.GradientTransformation,
  mesh: Mesh,
  objective: distill.Objective | None = None,
  classifier: str = "whole",
) -> Callable[[jax.Array], TrainState]:
  """Returns the jitted function from a key to the state of step 0.

  Its arrays lie as the step of the same `classifier` takes them.
  """
  objective = objective or distill.Objective({})
  init = _init_function(module, optimizer, objective)
  place = place_state(module, objective, classifier, mesh)
  return jax.jit(init, out_shardings=_state_shardings(place, init))


def place_state(
  module: models.GaitNetwork,
  objective: distill.Objective,
  classifier: str,
  mesh: Mesh,
) -> placement.Placement:
  """Where the arrays of a training state lie.

  Args:
    module: the student.
    objective: of the teachers.
    classifier: see `placement.place`.
    mesh: devices of the data axis.
  """
  place = placement.place(module, classifier, mesh)
  return place.with_classes(objective.memories_by_class)


def _init_function(
  module: models.GaitNetwork,
  optimizer: optax.GradientTransformation,
  objective: distill.Objective,
) -> Callable[[jax.Array], TrainState]:
  """The function from a key to the state of step 0."""

  def init(key: jax.Array) -> TrainState:
    variables = models.init_variables(module, key)
    aux = objective.init_aux(jax.random.fold_in(key, _AUX))
    return TrainState(
      step=jnp.zeros([], jnp.int32),
      opt_state=optimizer.init(variables["params"]),
      aux=aux,
      aux_opt_state=optimizer.init(aux["params"]) if aux["params"] else (),
      **variables,
    )

  return init


def _state_shardings(
  place: placement.Placement, init: Callable[[jax.Array], TrainState]
) -> Any:
  return place.shardings(lambda: jax.eval_shape(init, jax.random.key(0)))


def make_train_step(
  module: models.GaitNetwork,
  optimizer: optax.GradientTransformation,
  schedule: optax.Schedule,
  loss_config: Mapping[str, Any],
  objective: distill.Objective,
  mesh: Mesh,
  seed: int = 0,
  skip_nonfinite: bool = False,
  classifier: str = "whole",
  phase: Callable[[jax.Array], quantize.Phase] | None = None,
  hold: Callable[[Any], Any] | None = None,
) -> Callable[
  [TrainState, Mapping[str, Any], Batch],
  tuple[TrainState, dict[str, jax.Array]],
]:
  """Returns the jitted step over the global batch.

  Args:
    module: the student.
    optimizer: its optimiser.
    schedule: the learning rate, to be logged.
    loss_config: `triplet` (weight, margin) and `cross_entropy` (weight, scale,
      label_smoothing).
    objective: of the teachers; without teachers it is plain training.
    mesh: devices of the data axis.
    seed: of what a network drops and terms draw at random.
    skip_nonfinite: whether a step changes nothing but the number of steps where
      its loss or the norm of its gradient is not finite.
    classifier: see `placement.place`; of the student and the teachers.
    phase: from the step to the phase of a quantised student; see
      `create_phase`.
    hold: takes the gradient from parameters that never learn; see `optim.hold`.

  Returns:
    A function `(state, teacher variables, batch) -> (state, metrics)`. The
    state is donated. A batch has "silhouettes" uint8 `[n, s, h, w]`, "labels"
    int32 `[n]`; where a network takes them, "heatmaps" uint8 `[n, s, h, w, 2]`;
    and, for clips of unequal length, "lengths" int32 `[n]`. Metrics are float32
    scalars of this step, before its update.
  """
  student = place_state(module, objective, classifier, mesh)
  teachers = distill.place_teachers(objective.teachers, classifier, mesh)
  splits = any(place.split for place in (student, *teachers.values()))

  def train_step(
    state: TrainState, teacher_variables: Mapping[str, Any], batch: Batch
  ) -> tuple[TrainState, dict[str, jax.Array]]:
    key = jax.random.fold_in(jax.random.key(seed), state.step)
    aux = {"params": {}, "batch_stats": {}, "memory": {}} | state.aux
    loss_fn = _loss_function(
      module,
      loss_config,
      objective,
      state,
      aux,
      teacher_variables,
      batch,
      key,
      functools.partial(placement.split_logits, mesh=mesh if splits else None),
      phase(state.step) if phase else None,
      hold,
    )
    (
      (loss, (batch_stats, new_aux, metrics)),
      (grads, aux_grads),
    ) = jax.value_and_grad(loss_fn, argnums=(0, 1), has_aux=True)(
      state.params, aux["params"]
    )
    metrics |= {
      "loss": loss,
      "gradient_norm": optax.tree.norm(grads),
      "learning_rate": jnp.asarray(schedule(state.step), jnp.float32),
    }
    new = _updated(optimizer, state, grads, aux_grads)
    new_aux["params"] = new.aux.get("params", {})
    new = new.replace(batch_stats=batch_stats, aux=new_aux)
    if skip_nonfinite:
      new = _kept_if_finite(state.replace(aux=aux), new, metrics)
    return new, metrics

  whole = sharding.replicated(mesh)
  of_state = _state_shardings(
    student, _init_function(module, optimizer, objective)
  )
  of_teachers = {name: place.of_variables() for name, place in teachers.items()}
  return jax.jit(
    train_step,
    donate_argnums=0,
    in_shardings=(
      of_state,
      of_teachers if splits else whole,
      sharding.by_sequence(mesh),
    ),
    out_shardings=(of_state, whole),
  )


def create_phase(
  config: Mapping[str, Any],
) -> Callable[[jax.Array], quantize.Phase] | None:
  """What `config.quantization` changes with the step.

  Returns:
    A function from the step to the phase; None for a float network.

  Raises:
    errors.UserError: a sharpness that cannot be read.
  """
  sharpness = schedules.create_schedule(
    config["sharpness"], "quantization.sharpness"
  )
  if not (config["weights"] or config["activations"]):
    return None
  hold, freeze = config["hold_norms_from"], config["freeze_scales_from"]

  def phase(step: jax.Array) -> quantize.Phase:
    return quantize.Phase(
      rounds=step >= config["rounding_from"],
      sharpness=sharpness(step),
      holds=step >= hold if hold else None,
      freezes=step >= freeze if freeze else None,
    )

  return phase


def _loss_function(
  module: models.GaitNetwork,
  loss_config: Mapping[str, Any],
  objective: distill.Objective,
  state: TrainState,
  aux: Mapping[str, Any],
  teacher_variables: Mapping[str, Any],
  batch: Batch,
  key: jax.Array,
  placed: Callable[[distill.Outputs], distill.Outputs],
  phase: quantize.Phase | None,
  hold: Callable[[Any], Any] | None,
) -> Callable[[Any, Any], tuple[jax.Array, Any]]:
  """The loss of a batch, as a function of what learns.

  `placed` puts a network's outputs where the step has them; `phase` is that of
  a quantised student; `hold` see `make_train_step`.

  Returns:
    A function of the student's parameters and those of `aux`, to the loss and
    (next running statistics, next aux, metrics).
  """
  rngs = {stream: key for stream in module.rng_streams}

  def teachers_forward(batch: Batch) -> dict[str, distill.Outputs]:
    found = distill.teacher_outputs(
      objective.teachers, teacher_variables, batch
    )
    return {name: placed(outputs) for name, outputs in found.items()}

  teacher_outputs = teachers_forward(batch)

  def loss_fn(params: Any, aux_params: Any) -> tuple[jax.Array, Any]:
    if hold is not None:
      params = hold(params)

    def forward(batch: Batch) -> tuple[distill.Outputs, Any]:
      with quantize.phase(phase):
        out, updated = module.apply(
          {"params": params, "batch_stats": state.batch_stats},
          inputs.network_input(batch, module.in_channels),
          batch.get("lengths"),
          train=True,
          mutable=["batch_stats"],
          rngs=rngs,
        )
      return placed(out), updated

    out, updated = forward(batch)
    loss, metrics = _supervised_loss(loss_config, out, batch["labels"])
    context = distill.Context(
      student=out,
      teacher_outputs=teacher_outputs,
      labels=batch["labels"],
      step=state.step,
      batch=batch,
      key=jax.random.fold_in(key, _TERMS),
      student_forward=lambda batch: forward(batch)[0],
      teachers_forward=teachers_forward,
    )
    extra, terms, new_aux = objective(context, {**aux, "params": aux_params})
    stats = updated.get("batch_stats", {})
    return loss + extra, (stats, new_aux, metrics | terms)

  return loss_fn


def _updated(
  optimizer: optax.GradientTransformation,
  state: TrainState,
  grads: Any,
  aux_grads: Any,
) -> TrainState:
  """The state after a step of the optimiser."""
  updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
  aux, aux_opt_state = state.aux, state.aux_opt_state
  if aux.get("params"):
    aux_updates, aux_opt_state = optimizer.update(
      aux_grads, aux_opt_state, aux["params"]
    )
    aux = aux | {"params": optax.apply_updates(aux["params"], aux_updates)}
  return state.replace(
    step=state.step + 1,
    params=optax.apply_updates(state.params, updates),
    opt_state=opt_state,
    aux=aux,
    aux_opt_state=aux_opt_state,
  )


def _kept_if_finite(
  old: TrainState, new: TrainState, metrics: Mapping[str, jax.Array]
) -> TrainState:
  """The new state, or the old one under the new number."""
  finite = jnp.isfinite(metrics["loss"])
  finite &= jnp.isfinite(metrics["gradient_norm"])
  kept = jax.tree.map(lambda x, y: jnp.where(finite, y, x), old, new)
  return kept.replace(step=new.step)


def _supervised_loss(
  config: Mapping[str, Any], out: distill.Outputs, labels: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
  """The losses that need labels only, and their metrics."""
  triplet, active = losses.triplet_parts(
    out["embedding"], labels, config["triplet"]["margin"]
  )
  metrics = {
    "triplet": jnp.mean(triplet),
    "active_triplets": jnp.mean(active),
  }
  loss = config["triplet"]["weight"] * metrics["triplet"]
  if "logits" in out:
    metrics["cross_entropy"] = losses.cross_entropy_loss(
      out["logits"],
      labels,
      config["cross_entropy"]["scale"],
      config["cross_entropy"]["label_smoothing"],
    )
    metrics["accuracy"] = losses.part_accuracy(out["logits"], labels)
    loss += config["cross_entropy"]["weight"] * metrics["cross_entropy"]
  return loss, metrics
