"""Trainings whose classes lie split over devices, or whole on each."""

import functools
from typing import Any
from typing import NamedTuple

import jax
import numpy as np

from gaitkd_jax import checkpointer as checkpointer_lib
from gaitkd_jax import distill
from gaitkd_jax import models
from gaitkd_jax import placement
from gaitkd_jax import sharding
from gaitkd_jax.training import optim
from gaitkd_jax.training import step
from tests.helpers import distillation as helpers
from tests.helpers import networks

# No other axis of these networks or batches is as long, nor is a share of it.
CLASSES = 104
MODEL = helpers.model(num_classes=CLASSES)
ONE = dict(a={})
TWO = dict(a=dict(decision_weight=0.5), b=dict(boundary_weight=0.02))
SILENT = dict(decision_weight=0.0, boundary_weight=0.0)
ALONE = dict(a=SILENT)
# By name: the teachers, how they are put together, and further terms.
OBJECTIVES: dict[str, tuple[Any, Any, Any]] = {
  "gaitkd": (TWO, {}, {}),
  "gaitkd_together": (TWO, dict(decision="mean", boundary="vote"), {}),
  "gaitkd_agree": (
    dict(a={}, b=dict(model=MODEL | dict(parts=2))),
    dict(decision="sum", boundary="agree", parts="overlap"),
    {},
  ),
  "gdkd": (ALONE, {}, {"t": dict(kind="gdkd")}),
  "dist": (ALONE, {}, {"t": dict(kind="dist")}),
  "ofa": (ALONE, {}, {"t": dict(kind="ofa")}),
  "ekd": (ALONE, {}, {"t": dict(kind="ekd", rates=(10, 100))}),
  "others": (
    ALONE,
    {},
    {
      **{
        kind: dict(kind=kind)
        for kind in (
          *("kd", "ka_ps", "ka_lsr", "logit_mse", "standardised_kd", "dkd"),
          "decision",
        )
      },
      "worst": dict(kind="gdkd", pick="worst", three_groups=True, top=9),
      "both": dict(kind="gdkd", direction="both"),
      "grouped": dict(kind="grouped_kd", top=30, secondary_weight=0.5),
      "share": dict(kind="grouped_kd", share=0.6),
    },
  ),
  "centres": (ALONE, {}, {"t": dict(kind="adadistill", weight=0.1)}),
  "clips": (ALONE, {}, helpers.OF_OTHER_CLIPS),
}


class Training(NamedTuple):
  """A training step and what it takes."""

  mesh: Any
  place: placement.Placement
  init: Any
  step: Any
  frozen: Any
  first: Any
  programs: list[Any]  # the compiled step, once it is

  def start(self):
    """The state of step 0; drawn by NumPy, which compiles nothing."""
    return jax.device_put(self.first, self.place(self.first))

  def run(self, state, steps):
    """Trains steps of these numbers; metrics by step, and the last state."""
    history, step_of = [], self.compiled()
    for i in steps:
      batch = sharding.put_batch(batch_of(i), self.mesh)
      state, metrics = step_of(state, self.frozen, batch)
      history.append({key: float(value) for key, value in metrics.items()})
    return history, state

  def compiled(self):
    """The compiled step, which is compiled once."""
    if not self.programs:
      batch = sharding.put_batch(batch_of(0), self.mesh)
      lowered = self.step.lower(self.start(), self.frozen, batch)
      self.programs.append(lowered.compile())
    return self.programs[0]


def batch_of(seed):
  """A batch whose labels lie on several devices."""
  batch = helpers.batch(seed)
  return batch | dict(labels=batch["labels"] * 34)  # 0, 34, 68, 102


@functools.cache
def made(objective, devices, classifier):
  """The training of an objective of `OBJECTIVES` on so many devices."""
  options, together, terms = OBJECTIVES[objective]
  module = models.create_model(MODEL)
  teachers = helpers.make_teachers(
    **{name: dict(model=MODEL) | values for name, values in options.items()}
  )
  mesh = sharding.create_mesh(devices)
  optimizer, schedule = optim.create_optimizer(helpers.SGD)
  defaults = dict(decision="sum", boundary="sum", parts="truncate")
  made = distill.create_objective(module, teachers, defaults | together, terms)
  frozen = {
    name: networks.random_variables(t.module, seed=i + 1)
    for i, (name, t) in enumerate(teachers.items())
  }
  variables = networks.random_variables(module)
  placed = distill.place_teachers(teachers, classifier, mesh)
  return Training(
    mesh,
    step.place_state(module, made, classifier, mesh),
    step.make_init(module, optimizer, mesh, made, classifier),
    step.make_train_step(
      module,
      optimizer,
      schedule,
      helpers.LOSSES,
      made,
      mesh,
      classifier=classifier,
    ),
    {n: jax.device_put(x, placed[n](x)) for n, x in frozen.items()},
    jax.device_get(
      step.TrainState(
        step=np.int32(0),
        opt_state=optimizer.init(variables["params"]),
        aux=made.init_aux(jax.random.key(0)),
        **variables,
      )
    ),
    [],
  )


@functools.cache
def trained(objective, devices, classifier, steps=5):
  """Metrics by step, and the last state."""
  training = made(objective, devices, classifier)
  return training.run(training.start(), range(steps))


def moved(training, state, folder):
  """A state of another training, saved and restored onto this one."""
  with checkpointer_lib.Checkpointer(folder, "rank1") as c:
    c.save(int(state.step), state, {}, None)
  with checkpointer_lib.Checkpointer(folder, "rank1") as c:
    abstract = jax.eval_shape(training.init, jax.random.key(0))
    return c.restore(abstract, training.place)


def check_equal(found, expected):
  """Metrics by step, and the parameters and momentum that they led to."""
  history, state = found
  for a, b in zip(history, expected[0], strict=True):
    assert a.keys() == b.keys()
    for key in a.keys() - {"active_triplets"}:  # a count
      bound = 1e-4 if key == "gradient_norm" else 1e-5
      np.testing.assert_allclose(
        a[key], b[key], rtol=bound, atol=1e-7, err_msg=key
      )
  # Gradients of the first layers, of batches of noise, keep fewer digits.
  for part, bound in (
    ("params", 1e-5),
    ("opt_state", 1e-4),
    ("batch_stats", 1e-5),
    ("aux", 1e-5),
  ):
    arrays = jax.tree.leaves_with_path(getattr(state, part))
    others = jax.tree.leaves(getattr(expected[1], part))
    for (path, a), b in zip(arrays, others, strict=True):
      a, b = np.asarray(a), np.asarray(b)
      size = np.abs(b).max(initial=0.0)
      np.testing.assert_allclose(
        a, b, rtol=0, atol=bound * size + 1e-8, err_msg=f"{part}{path}"
      )
