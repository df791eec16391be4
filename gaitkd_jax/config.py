"""The keys that every config has, and checks that cost nothing.

Networks and recipes "as published" are those of OpenGait's configs
(github.com/ShiqiYu/OpenGait); those of GaitKD are of its own (arXiv
2604.26255).
"""

from collections.abc import Callable
from collections.abc import Collection
from typing import Any

from ml_collections import ConfigDict

from gaitkd_jax import errors

RANDOM = "random"
MODALITIES = ("silhouettes", "heatmaps")
# The values that a kind of clip uses; see `default`.
CLIP_KEYS = dict(
  fixed_ordered=("frames", "skip"),
  fixed_unordered=("frames",),
  unfixed_ordered=("min_frames", "max_frames", "skip"),
  unfixed_unordered=("min_frames", "max_frames"),
  all_ordered=("max_frames",),
)
SAMPLERS = ("triplet", "shuffled")
# Benchmarks, and how many subjects train.
TRAIN_SUBJECTS = dict(
  casiab=74, oumvlp=5153, grew=20_000, gait3d=3000, ccpg=100, sustech1k=250
)


def default() -> ConfigDict:
  """Every key with its default; configs change values, never names."""
  c = ConfigDict()
  c.seed = 0
  # Of the computation: "float32" or "bfloat16". Parameters are float32.
  c.dtype = "float32"
  c.data = data()
  # fixed_ordered: `frames` of a window of `frames + skip`, in order.
  # fixed_unordered: `frames` at random.
  # unfixed_ordered, unfixed_unordered: min_frames to max_frames, drawn for each
  # clip. all_ordered: the first max_frames.
  c.clip = clip("fixed_ordered")
  # Probabilities, one draw a clip.
  c.augment = ConfigDict(
    dict(perspective=0.0, affine=0.0, flip=0.0, rotate=0.0, erase=0.0)
  )
  # "triplet": a batch holds `sequences` clips of each of `identities` subjects.
  # "shuffled": as many sequences, each once an epoch.
  c.batch = ConfigDict(dict(sampler="triplet", identities=8, sequences=16))
  c.model = gaitbase()
  c.teachers = ConfigDict()
  c.losses = ConfigDict()
  c.losses.triplet = ConfigDict(dict(weight=1.0, margin=0.2))
  c.losses.cross_entropy = ConfigDict(
    dict(weight=1.0, scale=16.0, label_smoothing=0.1)
  )
  # `groups` names parameters that learn differently: gaitkd_jax/optim.py.
  c.optim = ConfigDict(
    dict(
      name="sgd",
      learning_rate=0.1,
      momentum=0.9,
      weight_decay=5e-4,
      clip_norm=0.0,
      groups="",
    )
  )
  # How the learning rate changes with the step: gaitkd_jax/schedules.py.
  c.optim.schedule = ConfigDict(dict(kind="constant"))
  # In steps; eval_every=0 evaluates at the end only. init_from: a workdir or
  # checkpoint from which the arrays of the same name and shape are taken.
  c.train = ConfigDict(
    dict(
      steps=60_000,
      log_every=100,
      eval_every=0,
      checkpoint_every=5_000,
      init_from="",
    )
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

  `modalities` adds "heatmaps" where a network needs them. `pickles` says which
  of several pickles in a folder hold what, by index or by a part of the name:
  "silhouettes=6,heatmaps=heatmap". `cache_gib` bounds
  the sequences, compressed, that stay in the host's memory. `variant` is the
  size of walkers. The subject lists, where not empty, replace the data set's
  own; `partition` is the path of a JSON of OpenGait's or "halves", for a trial
  on few subjects: where the data set's own division leaves nobody to train or
  to test, the first half of the subjects trains.
  """
  return ConfigDict(
    dict(
      name=name,
      root="",
      prepared="~/tensorflow_datasets",
      modalities=("silhouettes",),
      pickles="",
      cache_gib=16.0,
      variant="",
      partition="",
      train_subjects=(),
      test_subjects=(),
    )
    | values
  )


def clip(kind: str, **values: int) -> ConfigDict:
  """How clips are cut from sequences; kinds: see `default`.

  What a kind does not use (`CLIP_KEYS`) keeps the value that it has here.
  """
  return ConfigDict(
    dict(kind=kind, frames=30, skip=4, min_frames=0, max_frames=0) | values
  )


def da_augment() -> ConfigDict:
  """The augmentation that OpenGait's recipes call DA."""
  return ConfigDict(
    dict(perspective=0.2, affine=0.0, flip=0.2, rotate=0.2, erase=0.0)
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


def skeletongaitpp(**values: Any) -> ConfigDict:
  """SkeletonGait++ as published for Gait3D; needs heat maps."""
  return ConfigDict(
    dict(
      name="skeletongaitpp",
      base_channels=64,
      blocks=(1, 4, 4, 1),
      num_classes=3000,
      in_channels=3,
      retrieval="embedding",
    )
    | values
  )


def swingait(**values: Any) -> ConfigDict:
  """SwinGait as published for Gait3D."""
  return ConfigDict(
    dict(
      name="swingait",
      channels=(64, 128),
      blocks=(1, 4, 4, 2),
      num_classes=3000,
      in_channels=1,
      drop_path_rate=0.1,
      dim=256,
      retrieval="embedding",
    )
    | values
  )


def benchmark(c: ConfigDict, name: str) -> None:
  """Sets the data, the protocol and the number of classes of a benchmark.

  Heat maps are read if one of the networks, which must be set before, needs
  them.
  """
  c.data = data(name)
  c.eval.protocol = name
  for model in _networks(c):
    model.num_classes = TRAIN_SUBJECTS[name]
    if model.in_channels > 1:
      c.data.modalities = MODALITIES


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


def swingait_optim(c: ConfigDict, steps: int) -> None:
  """Sets OpenGait's optimiser of SwinGait; the rate falls for `steps`."""
  c.optim.name, c.optim.groups = "adamw", "swingait"
  c.optim.learning_rate, c.optim.weight_decay = 3e-4, 0.02
  c.optim.schedule = ConfigDict(dict(kind="swin_cosine", steps=steps))


def smoke(c: ConfigDict) -> None:
  """Turns any config into a trial of three steps and a few seconds."""
  values = dict(frames=6, skip=2, min_frames=4, max_frames=6)
  for key in CLIP_KEYS[c.clip.kind]:
    c.clip[key] = values[key]
  c.batch.identities, c.batch.sequences = 2, 4
  c.train.steps, c.train.log_every, c.train.checkpoint_every = 3, 1, 2
  c.eval.batch_size = 8
  c.eval.max_frames = 12
  for model in _networks(c):
    if model.name == "swingait":
      model.channels, model.blocks, model.dim = (4, 8), (1, 1, 1, 1), 16
    elif model.name == "skeletongaitpp":
      model.base_channels, model.blocks = 4, (1, 1, 1, 1)
    else:
      model.channels = (4, 8, 8, 16)
    if model.name == "gaitbase":
      model.embedding_dim = 8
  for t in c.teachers.values():
    t.checkpoint = RANDOM
  for source in (c.data, c.eval.data):
    if len(source):
      source.variant, source.partition = "tiny", "halves"


def without_teachers(c: ConfigDict) -> None:
  """Leaves the student alone: the baseline of a distillation."""
  c.teachers = ConfigDict()


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
  """Raises a UserError for values that cannot work, or that do nothing."""
  _check_keys(c)
  positive = (
    "batch.identities batch.sequences train.steps train.log_every "
    "train.checkpoint_every eval.batch_size eval.max_frames"
  )
  for key in positive.split():
    section, name = key.split(".")
    _check_least(key, c[section][name], 1)
  _check_least("train.eval_every", c.train.eval_every, 0)
  _check_one_of("dtype", c.dtype, ("float32", "bfloat16"))
  _check_one_of("batch.sampler", c.batch.sampler, SAMPLERS)
  _check_clip(c.clip)
  for modality in c.data.modalities:
    _check_one_of("data.modalities", modality, MODALITIES)
  if "silhouettes" not in c.data.modalities:
    raise errors.UserError(
      "config.data.modalities has no silhouettes, which every batch holds; "
      "add them"
    )
  for name, one in {"the student": c, **c.teachers}.items():
    channels = one.model.get("in_channels", 1)
    if channels > 1 and "heatmaps" not in c.data.modalities:
      raise errors.UserError(
        f"in_channels of {name} is {channels}, which takes heat maps; add "
        "heatmaps to data.modalities"
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


def _networks(c: ConfigDict) -> list[ConfigDict]:
  """The configs of the student and of the teachers."""
  return [c.model] + [t.model for t in c.teachers.values()]


def _check_keys(c: ConfigDict) -> None:
  """Raises a UserError for a key that is unknown or missing.

  Those of models and of schedules are checked where these are built.
  """
  known = default()
  sections = {"config": (c, known)}
  for name, values in known.items():
    if isinstance(values, ConfigDict) and name not in ("model", "teachers"):
      sections[f"config.{name}"] = c.get(name, {}), values
  for name, values in known.losses.items():
    sections[f"config.losses.{name}"] = c.losses.get(name, {}), values
  for name, values in c.teachers.items():
    sections[f"config.teachers.{name}"] = values, teacher(ConfigDict())
  if len(c.eval.data):
    sections["config.eval.data"] = c.eval.data, known.data
  for where, (given, wanted) in sections.items():
    for key in sorted(set(given) ^ set(wanted)):
      what = "has no key" if key in given else "lacks the key"
      raise errors.UserError(
        f"{where} {what} {key}; it has {', '.join(sorted(wanted))}"
      )


def _check_clip(c: ConfigDict) -> None:
  _check_one_of("clip.kind", c.kind, CLIP_KEYS)
  used = CLIP_KEYS[c.kind]
  for key, unset in clip(c.kind).items():
    if key in used:
      _check_least(f"clip.{key}", c[key], 0 if key == "skip" else 1)
    elif key != "kind" and c[key] not in (0, unset):
      raise errors.UserError(
        f"config.clip.{key} is {c[key]}, but clips of kind {c.kind} use "
        f"{', '.join(used)} only; leave it at {unset}"
      )
  if "min_frames" in used and c.min_frames > c.max_frames:
    raise errors.UserError(
      f"config.clip.min_frames is {c.min_frames}, above max_frames, "
      f"{c.max_frames}; lower it"
    )


def _check_least(key: str, value: int, least: int) -> None:
  if value < least:
    raise errors.UserError(f"config.{key} is {value}; give at least {least}")


def _check_one_of(key: str, value: str, known: Collection[str]) -> None:
  if value not in known:
    raise errors.UserError(
      f"config.{key} is {value!r}; give one of {', '.join(known)}"
    )
