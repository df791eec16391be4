"""The keys that every config has, and checks that cost nothing."""

from collections.abc import Callable
from typing import Any

from ml_collections import ConfigDict

from gaitkd_jax import errors

RANDOM = "random"


def default() -> ConfigDict:
  """Every key with its default; configs change values, never names."""
  c = ConfigDict()
  c.seed = 0
  # Of the computation: "float32" or "bfloat16". Parameters are float32.
  c.dtype = "float32"
  c.data = data()
  # fixed_ordered: `frames` of a window of `frames + skip`, in order.
  # fixed_unordered: `frames` at random.
  c.clip = ConfigDict(dict(kind="fixed_ordered", frames=30, skip=4))
  # Probabilities, one draw a clip.
  c.augment = ConfigDict(dict(perspective=0.0, flip=0.0, rotate=0.0, erase=0.0))
  # A batch holds `sequences` clips of each of `identities` subjects.
  c.batch = ConfigDict(dict(identities=8, sequences=16))
  c.model = gaitbase()
  c.teachers = ConfigDict()
  c.losses = ConfigDict()
  c.losses.triplet = ConfigDict(dict(weight=1.0, margin=0.2))
  c.losses.cross_entropy = ConfigDict(
    dict(weight=1.0, scale=16.0, label_smoothing=0.1)
  )
  c.optim = ConfigDict(
    dict(
      name="sgd",
      learning_rate=0.1,
      momentum=0.9,
      weight_decay=5e-4,
      clip_norm=0.0,
    )
  )
  # How the learning rate changes with the step: gaitkd_jax/schedules.py.
  c.optim.schedule = ConfigDict(dict(kind="constant"))
  # In steps; eval_every=0 evaluates at the end only.
  c.train = ConfigDict(
    dict(steps=60_000, log_every=100, eval_every=0, checkpoint_every=5_000)
  )
  c.eval = ConfigDict(
    dict(
      protocol="casiab",
      metric="euclidean",
      batch_size=64,
      max_frames=720,
      checkpoint="",
    )
  )
  # Empty: the test split of `data`.
  c.eval.data = ConfigDict()
  return c


def data(name: str = "", **values: Any) -> ConfigDict:
  """A data set; `root` is the publisher's or OpenGait's tree.

  `variant` is the size of walkers. The subject lists, where not empty, replace
  the data set's own; `partition="halves"` trains on the first half of the
  subjects that are there and tests on the others, for a trial on a few.
  """
  return ConfigDict(
    dict(
      name=name,
      root="",
      prepared="~/tensorflow_datasets",
      variant="",
      partition="",
      train_subjects=(),
      test_subjects=(),
    )
    | values
  )


def gaitbase(**values: Any) -> ConfigDict:
  """GaitBase as published for CASIA-B."""
  return ConfigDict(
    dict(
      name="gaitbase",
      channels=(64, 128, 256, 512),
      blocks=(1, 1, 1, 1),
      embedding_dim=256,
      num_classes=74,
      in_channels=1,
      retrieval="embedding",
    )
    | values
  )


def deepgaitv2(**values: Any) -> ConfigDict:
  """DeepGaitV2-P3D as published for CASIA-B."""
  return ConfigDict(
    dict(
      name="deepgaitv2",
      mode="p3d",
      channels=(64, 128, 256, 512),
      blocks=(1, 1, 1, 1),
      num_classes=74,
      in_channels=1,
      retrieval="embedding",
    )
    | values
  )


def teacher(model: ConfigDict, checkpoint: str = "", **values: Any):
  """A teacher with GaitKD's published weights.

  `checkpoint` is a workdir, its checkpoints folder or one step of it;
  "random" is an untrained teacher, for trials only. The weights and the
  temperature are numbers or schedules.
  """
  return ConfigDict(
    dict(
      model=model,
      checkpoint=checkpoint,
      decision_weight=1.0,
      boundary_weight=0.003,
      temperature=4.0,
    )
    | values
  )


def multistep(*milestones: int) -> ConfigDict:
  """A learning rate that falls tenfold at each milestone."""
  return ConfigDict(dict(kind="multistep", milestones=milestones, gamma=0.1))


def onecycle(c: ConfigDict) -> ConfigDict:
  """A learning rate that rises for a tenth of `train.steps`, then falls to 0.

  It follows a later change of `train.steps`.
  """
  steps = c.train.get_ref("steps")
  return ConfigDict(dict(kind="onecycle", steps=steps, warmup=steps // 10))


def smoke(c: ConfigDict) -> None:
  """Turns any config into a trial of three steps and a few seconds."""
  c.clip.frames, c.clip.skip = 6, 2
  c.batch.identities, c.batch.sequences = 2, 4
  c.train.steps, c.train.log_every, c.train.checkpoint_every = 3, 1, 2
  c.eval.batch_size = 8
  c.eval.max_frames = 12
  for model in [c.model] + [t.model for t in c.teachers.values()]:
    model.channels = (4, 8, 8, 16)
    if model.name == "gaitbase":
      model.embedding_dim = 8
  for t in c.teachers.values():
    t.checkpoint = RANDOM
  for source in (c.data, c.eval.data):
    if len(source):
      source.variant, source.partition = "tiny", "halves"


def with_variant(
  c: ConfigDict, variant: str, **variants: Callable[[ConfigDict], None]
) -> ConfigDict:
  """Applies the part of `--config=file.py:variant` after the colon.

  Args:
    c: the config.
    variant: empty for none.
    **variants: changes by name, besides "smoke".

  Returns:
    `c`.

  Raises:
    errors.UserError: unknown variant.
  """
  known = {"smoke": smoke} | variants
  if variant:
    if variant not in known:
      raise errors.UserError(
        f"the config has no variant {variant!r}; it has {', '.join(known)}"
      )
    known[variant](c)
  return c


def check(c: ConfigDict) -> None:
  """Raises a UserError for values that cannot work."""
  positive = (
    "clip.frames batch.identities batch.sequences train.steps train.log_every "
    "train.checkpoint_every eval.batch_size eval.max_frames"
  )
  for key in positive.split():
    section, name = key.split(".")
    if c[section][name] < 1:
      raise errors.UserError(
        f"config.{key} is {c[section][name]}; give at least 1"
      )
  if c.dtype not in ("float32", "bfloat16"):
    raise errors.UserError(
      f"config.dtype is {c.dtype!r}; give float32 or bfloat16"
    )
  for name, one in {"the student": c, **c.teachers}.items():
    channels = one.model.get("in_channels", 1)
    if channels != 1:
      raise errors.UserError(
        f"in_channels of {name} is {channels}; the data are silhouettes, of "
        "one channel"
      )
  for name, one in c.teachers.items():
    if isinstance(one.temperature, float) and one.temperature <= 0:
      raise errors.UserError(
        f"config.teachers.{name}.temperature is {one.temperature}; give a "
        "positive number"
      )


def check_batch(c: ConfigDict, num_devices: int) -> None:
  """Raises a UserError for a batch that the devices cannot share."""
  batch = c.batch.identities * c.batch.sequences
  if batch % num_devices:
    raise errors.UserError(
      f"a batch of config.batch.identities x config.batch.sequences = {batch} "
      f"clips cannot be split over {num_devices} devices; make it a multiple"
    )
