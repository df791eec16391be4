"""The training step and the embedding step of a config, for any devices.

No data, no checkpoint and no array is made: who times them makes their arrays,
who only compiles them gives shapes.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from gaitkd_jax import config as config_lib
from gaitkd_jax import cost
from gaitkd_jax import distill
from gaitkd_jax import models
from gaitkd_jax import placement
from gaitkd_jax import sharding
from gaitkd_jax.distill import cache as cache_lib
from gaitkd_jax.evaluation import embedding
from gaitkd_jax.training import optim
from gaitkd_jax.training import step as step_lib

_HEIGHT, _WIDTH = 64, 44


@dataclasses.dataclass(frozen=True)
class Programs:
  """What a training and an evaluation repeat.

  Attributes:
    config: the whole config.
    mesh: devices of the data axis.
    place: where the student's arrays lie, and those that follow them.
    placed_teachers: by name, where the arrays of those that are run lie.
    student: the network that learns.
    teachers: by name; those with a cache are looked up, not run.
    init_state: from a key to the state of step 0, jitted.
    train_step: see `step.make_train_step`.
    embed_step: see `embedding.make_embed_step`.
    clips: of the global batch of a training step.
    frames: of a clip, at most.
  """

  config: Any
  mesh: Mesh
  place: placement.Placement
  placed_teachers: Mapping[str, placement.Placement]
  student: models.GaitNetwork
  teachers: Mapping[str, distill.Teacher]
  init_state: Callable[[jax.Array], step_lib.TrainState]
  train_step: Any
  embed_step: Any
  clips: int
  frames: int

  @property
  def run_teachers(self) -> dict[str, distill.Teacher]:
    """The teachers that every step runs."""
    return {n: t for n, t in self.teachers.items() if t.lookup is None}

  def train_arguments(self) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """State, teachers' variables and batch of a step, as shapes on the mesh."""
    state = jax.eval_shape(self.init_state, jax.random.key(0))
    frozen = {
      name: _placed(models.abstract_variables(place.module), place)
      for name, place in self.placed_teachers.items()
    }
    return _placed(state, self.place), frozen, self.train_batch()

  def train_batch(self) -> dict[str, jax.ShapeDtypeStruct]:
    """The batch of a step, as shapes on the mesh."""
    n, clip = self.clips, self.config.clip
    batch = self._pixels(n, self.frames)
    batch["labels"] = jax.ShapeDtypeStruct((n,), jnp.int32)
    if "frames" not in config_lib.CLIP_KEYS[clip.kind]:  # they differ
      batch["lengths"] = jax.ShapeDtypeStruct((n,), jnp.int32)
    for name, teacher in self.teachers.items():
      if teacher.lookup is not None:
        batch |= self._cached(name, teacher)
    return _split(batch, self.mesh)

  def embed_arguments(
    self, clips: int, frames: int
  ) -> tuple[Any, dict[str, Any]]:
    """Variables and a batch of whole sequences, as shapes on the mesh."""
    batch = self._pixels(clips, frames)
    for name, dtype in (
      ("lengths", jnp.int32),
      ("index", jnp.int32),
      ("mask", jnp.bool_),
    ):
      batch[name] = jax.ShapeDtypeStruct((clips,), dtype)
    variables = models.abstract_variables(self.student)
    return (
      _placed(variables, self.place),
      _split(batch, self.mesh),
    )

  def flop(self, clips: int, frames: int) -> tuple[float, float]:
    """Floating-point operations of a training step and of a forward pass.

    Twice the multiply-accumulates of the networks' convolutions and products; a
    backward pass counts as two forward ones, and what `model.remat` computes
    once more does not count.

    Args:
      clips: of the global batch.
      frames: of a clip.
    """
    per_gmac = 2e9 * clips * frames
    student = cost.gmac_per_frame(self.student)
    teachers = sum(
      cost.gmac_per_frame(t.network) for t in self.run_teachers.values()
    )
    return per_gmac * (3 * student + teachers), per_gmac * student

  def _pixels(self, n: int, s: int) -> dict[str, jax.ShapeDtypeStruct]:
    """Those that the config's data have."""
    shape = n, s, _HEIGHT, _WIDTH
    shapes = {"silhouettes": shape, "heatmaps": (*shape, 2)}
    return {
      name: jax.ShapeDtypeStruct(shapes[name], jnp.uint8)
      for name in self.config.data.modalities
    }

  def _cached(
    self, name: str, teacher: distill.Teacher
  ) -> dict[str, jax.ShapeDtypeStruct]:
    """What a batch holds of a teacher whose outputs are stored."""
    outputs = {
      key: jax.ShapeDtypeStruct((self.clips, *shape[1:]), jnp.float32)
      for key, shape in teacher.shapes.items()
      if key in ("embedding", "logits", "neck")
    }
    encode = functools.partial(
      cache_lib.encode,
      dtype=self.config.cache.dtype,
      largest=self.config.cache.logits,
    )
    rows = jax.eval_shape(encode, outputs)
    return {cache_lib.batch_key(name, key): x for key, x in rows.items()}


def create(config: Any, mesh: Mesh) -> Programs:
  """Makes the programs of a config.

  Args:
    config: the whole config; neither its data nor its teachers' checkpoints are
      looked at.
    mesh: devices of the data axis, attached or not.

  Returns:
    The programs; nothing is compiled yet.

  Raises:
    errors.UserError: what is wrong with the config, or a batch that the devices
      cannot share.
  """
  config_lib.check(config)
  config_lib.check_batch(config, mesh.size)
  student = models.create_model(config.model, config.dtype, config.quantization)
  teachers = cache_lib.look_up(
    config, distill.create_teachers(config.teachers, config.dtype)
  )
  objective = distill.create_objective(
    student,
    teachers,
    config.distillation,
    config.terms,
    config.losses.cross_entropy.scale,
  )
  optimizer, schedule = optim.create_optimizer(
    config.optim, student, config.quantization
  )
  choice = config.sharding.classifier
  return Programs(
    config=config,
    mesh=mesh,
    place=step_lib.place_state(student, objective, choice, mesh),
    placed_teachers=distill.place_teachers(teachers, choice, mesh),
    student=student,
    teachers=teachers,
    init_state=step_lib.make_init(student, optimizer, mesh, objective, choice),
    train_step=step_lib.make_train_step(
      student,
      optimizer,
      schedule,
      config.losses,
      objective,
      mesh,
      seed=config.seed,
      classifier=choice,
      phase=step_lib.create_phase(config.quantization),
      hold=optim.hold(config.optim, student),
    ),
    embed_step=embedding.make_embed_step(student, mesh),
    clips=config.batch.identities * config.batch.sequences,
    frames=clip_frames(config.clip),
  )


def clip_frames(clip: Any) -> int:
  """Frames of a clip, at most; `clip` is a section of a config."""
  used = config_lib.CLIP_KEYS[clip.kind]
  return max(clip[key] for key in used if key.endswith("frames"))


def _placed(tree: Any, shardings: Callable[[Any], Any]) -> Any:
  """The same shapes, with shardings."""
  return jax.tree.map(
    lambda x, where: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where),
    tree,
    shardings(tree),
  )


def _split(batch: Any, mesh: Mesh) -> Any:
  """The shapes of a batch, split over the devices."""
  where = sharding.by_sequence(mesh)
  return _placed(batch, lambda tree: jax.tree.map(lambda _: where, tree))
