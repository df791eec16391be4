"""Small students and teachers, and objectives of them."""

import functools

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict
import numpy as np

from gaitkd_jax import checkpointer as checkpointer_lib
from gaitkd_jax import config as config_lib
from gaitkd_jax import distill
from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax.training import optim
from gaitkd_jax.training import step
from tests.helpers import networks

LOSSES = dict(
  triplet=dict(weight=1.0, margin=0.2),
  cross_entropy=dict(weight=1.0, scale=16.0, label_smoothing=0.1),
)
SGD = dict(
  name="sgd",
  learning_rate=1e-5,  # on noise, larger ones let rounding grow
  schedule=dict(kind="constant"),
  momentum=0.9,
  weight_decay=5e-4,
  clip_norm=0.0,
)
# Terms that keep a memory; and terms that run the networks on other clips.
WITH_MEMORY = {
  "bank": dict(kind="relation_bank", size=40, hardest=4),
  "ekd": dict(kind="ekd", rates=(10, 100)),
  "instance": dict(kind="instance", share=0.5),
  "centres": dict(kind="adadistill", weight=0.1),
}
OF_OTHER_CLIPS = {
  "swap": dict(kind="patch_swap", bands=4),
  "cross": dict(kind="cross_view"),
}


def model(**changes):
  """The config of a small network."""
  return (
    dict(
      name="gaitbase",
      channels=(2, 2, 4, 4),
      blocks=(0, 1, 1, 0),
      embedding_dim=4,
      num_classes=4,
      parts=4,
    )
    | changes
  )


def make_teachers(**options_by_name):
  """Teachers by name, of the small network unless they have a model."""
  teachers = {}
  for name, options in options_by_name.items():
    values = dict(boundary_weight=0.01, model=model()) | options
    network = ConfigDict(values.pop("model"))
    teachers[name] = config_lib.teacher(network, **values)
  return distill.create_teachers(teachers)


def outputs(rng, n=6, p=4, d=4, k=4):
  """Random outputs of a network."""
  x = {
    "embedding": rng.normal(size=(n, p, d)),
    "logits": rng.uniform(-1, 1, size=(n, p, k)),
  }
  return {key: jnp.asarray(value, jnp.float32) for key, value in x.items()}


def context_of(student, step=0, **teacher_outputs):
  """The context of a step, of two clips each of three people."""
  return distill.Context(
    student=student,
    teacher_outputs=teacher_outputs,
    labels=jnp.array([0, 0, 1, 1, 2, 2]),
    step=jnp.array(step, jnp.int32),
  )


def objective_of(teachers, student=None, terms=None, classes=None, **options):
  """The objective of a small student; options are of the distillation."""
  return distill.create_objective(
    models.create_model(student or model()),
    teachers,
    dict(decision="sum", boundary="sum", parts="truncate") | options,
    terms,
    classes=classes,
  )


def value_of(objective, context):
  """The loss and the metrics at step 0."""
  return objective(context, objective.init_aux(jax.random.key(0)))[:2]


def batch(seed):
  """A batch of random silhouettes, four clips each of four people."""
  rng = np.random.default_rng(seed)
  return dict(
    silhouettes=rng.integers(0, 2, (16, 2, 64, 44), np.uint8) * 255,
    labels=np.repeat(np.arange(4, dtype=np.int32), 4),
  )


@functools.cache
def train(num_devices, steps=4, kind="memory", folder=None):
  """A few steps; with a folder, saved and restored after two.

  Args:
    num_devices: of the mesh.
    steps: how many.
    kind: "memory" has terms with a memory and a connector, "clips" terms that
      run the networks on other clips.
    folder: of the checkpoint.

  Returns:
    Metrics by step, and the last state.
  """
  module = models.create_model(model())
  wide = dict(model=model(embedding_dim=6), connector=True)
  teachers = make_teachers(a=wide if kind == "memory" else {})
  terms = {"memory": WITH_MEMORY, "clips": OF_OTHER_CLIPS}[kind]
  optimizer, schedule = optim.create_optimizer(SGD)
  mesh = sharding.create_mesh(num_devices)
  objective = distill.create_objective(module, teachers, None, terms)
  init = step.make_init(module, optimizer, mesh, objective)
  state = init(jax.random.key(0))
  frozen = {
    n: networks.initial_variables(t.module, 1) for n, t in teachers.items()
  }
  frozen = jax.device_put(frozen, sharding.replicated(mesh))
  train_step = step.make_train_step(
    module, optimizer, schedule, LOSSES, objective, mesh
  )
  history = []
  for i in range(steps):
    state, metrics = train_step(
      state, frozen, sharding.put_batch(batch(i), mesh)
    )
    history.append({k: float(v) for k, v in metrics.items()})
    if folder and i == 1:
      with checkpointer_lib.Checkpointer(folder, "rank1") as c:
        c.save(2, state, {}, None)
      with checkpointer_lib.Checkpointer(folder, "rank1") as c:
        abstract = jax.eval_shape(init, jax.random.key(0))
        state = c.restore(abstract, sharding.replicated(mesh))
  return history, state


def small_model(**changes):
  return (
    dict(
      name="gaitbase",
      channels=(4, 4, 8, 8),
      blocks=(1, 1, 1, 1),
      embedding_dim=8,
      num_classes=4,
    )
    | changes
  )


def teacher_of(**changes):
  return dict(
    model=small_model(**changes),
    decision_weight=1.0,
    boundary_weight=0.01,
    temperature=4.0,
  )
