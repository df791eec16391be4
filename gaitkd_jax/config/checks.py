"""Mistakes in a config that can be found without data."""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import math

from ml_collections import ConfigDict

from gaitkd_jax import errors
from gaitkd_jax import losses
from gaitkd_jax import models
from gaitkd_jax import placement
from gaitkd_jax import quantize
from gaitkd_jax.config import defaults
from gaitkd_jax.models import network

_STORED = ("float32", "float16")


def check(c: ConfigDict) -> None:
  """Raises a UserError for values that cannot work, or have no effect.

  It names all of them, or all keys that are unknown or missing.
  """
  check_keys(c)  # without its keys the rest cannot be read
  mistakes = errors.Mistakes()
  mistakes.add(_values(c))
  mistakes.check()


def check_keys(c: ConfigDict) -> None:
  """Raises a UserError that names all keys that are unknown or missing."""
  mistakes = errors.Mistakes()
  mistakes.add(_keys(c))
  mistakes.check()


def _values(c: ConfigDict) -> Iterator[str]:
  positive = (
    "batch.identities batch.sequences train.steps train.log_every "
    "train.checkpoint_every eval.batch_size eval.max_frames"
  )
  for key in positive.split():
    section, name = key.split(".")
    yield from _least(key, c[section][name], 1)
  yield from _least("train.eval_every", c.train.eval_every, 0)
  yield from _least("train.skip_nonfinite", c.train.skip_nonfinite, 0)
  yield from _least("eval.subjects", c.eval.subjects, 0)
  yield from _least("optim.learning_rate", c.optim.learning_rate, 0)
  yield from _least("optim.clip_norm", c.optim.clip_norm, 0)
  yield from _least("seed", c.seed, 0)
  if c.eval.memory_gib <= 0:
    yield f"config.eval.memory_gib is {c.eval.memory_gib}; give more than 0"
  for name, probability in c.augment.items():
    if probability < 0 or probability > 1:
      yield f"config.augment.{name} is {probability}; give a number from 0 to 1"
  for key in ("train_subjects", "test_subjects"):
    for name in c.data[key]:
      if not isinstance(name, str | int):
        yield (
          f"config.data.{key} holds {name!r}, which names no subject; write "
          "names as \"('001', '002')\""
        )
  yield from _least("eval.saliency", c.eval.saliency, 0)
  yield from _one_of("eval.map", c.eval.map, ("tsne", "umap", ""))
  yield from _one_of("eval.store_dtype", c.eval.store_dtype, _STORED)
  yield from _one_of("dtype", c.dtype, ("float32", "bfloat16"))
  choice = c.sharding.classifier
  yield from _one_of("sharding.classifier", choice, placement.CHOICES)
  yield from _one_of("batch.sampler", c.batch.sampler, defaults.SAMPLERS)
  yield from _distillation(c)
  yield from _quantization(c.quantization)
  yield from _clip(c.clip)
  yield from _modalities(c)
  yield from _nan("config", c)


def check_batch(c: ConfigDict, num_devices: int) -> None:
  """Raises a UserError for a batch that devices or networks cannot take."""
  batch = c.batch.identities * c.batch.sequences
  if batch % num_devices:
    raise errors.UserError(
      f"a batch of config.batch.identities x config.batch.sequences = {batch} "
      f"clips cannot be split over {num_devices} devices; make it a multiple"
    )
  for name, model in _shown(c).items():
    check_frames(name, models.create_model(model))


def check_frames(name: str, module: models.GaitNetwork) -> None:
  """Raises a UserError for a network that the data's frames are too small for.

  Args:
    name: of the network, for the message.
    module: the network.
  """
  if module.frame_size != network.FRAME_SIZE:
    h, w = module.frame_size
    has_h, has_w = network.FRAME_SIZE
    raise errors.UserError(
      f"{name} takes frames of {h} x {w} pixels, but all data have {has_h} x "
      f"{has_w}; call it from Python, or change its config (halvings)"
    )


def _modalities(c: ConfigDict) -> Iterator[str]:
  for modality in c.data.modalities:
    yield from _one_of("data.modalities", modality, defaults.MODALITIES)
  if "silhouettes" not in c.data.modalities:
    yield (
      "config.data.modalities has no silhouettes, which every batch holds; "
      "add them"
    )
  for name, model in _shown(c).items():
    channels = model.get("in_channels", 1)
    if channels > 1 and "heatmaps" not in c.data.modalities:
      yield (
        f"in_channels of {name} is {channels}, which takes heat maps; add "
        "heatmaps to data.modalities"
      )


def _shown(c: ConfigDict) -> dict[str, ConfigDict]:
  """The networks that are shown clips, by what messages call them."""
  networks = {"the student": c.model}
  # The outputs of a cached teacher are stored; it is not shown any clip.
  return networks | {
    name: t.model
    for name, t in c.teachers.items()
    if not t.cache and t.model.get("name") != defaults.IMPORTED
  }


def _keys(c: ConfigDict) -> Iterator[str]:
  """Keys that are unknown or missing.

  Keys of models and of schedules are checked where these are built.
  """
  known = defaults.default()
  sections = {"config": (c, known)}
  for name, values in known.items():
    if isinstance(values, ConfigDict) and name not in (
      "model",
      "teachers",
      "terms",
    ):
      sections[f"config.{name}"] = c.get(name, {}), values
  for name, values in known.losses.items():
    losses = c.get("losses", {})
    sections[f"config.losses.{name}"] = losses.get(name, {}), values
  for name, values in c.get("teachers", {}).items():
    sections[f"config.teachers.{name}"] = values, defaults.teacher(ConfigDict())
  if len(data := c.get("eval", {}).get("data", {})):
    sections["config.eval.data"] = data, known.data
  absent = {name for name in known if name not in c}
  for where, (given, wanted) in sections.items():
    if where.removeprefix("config.").split(".")[0] in absent:
      continue  # the section itself is named
    if not isinstance(given, Mapping | ConfigDict):
      yield f"{where} is {given!r}; it is a section with {_listed(wanted)}"
      continue
    if unknown := set(given) - set(wanted):
      yield f"{where} has no key {_listed(unknown)}; it has {_listed(wanted)}"
    if lacking := set(wanted) - set(given):
      yield (
        f"{where} lacks the key {_listed(lacking)}; start from "
        "gaitkd_jax.config.default()"
      )


def _listed(section: Iterable[str]) -> str:
  return ", ".join(sorted(section))


def _distillation(c: ConfigDict) -> Iterator[str]:
  d = c.distillation
  yield from _one_of("distillation.decision", d.decision, ("sum", "mean"))
  yield from _one_of(
    "distillation.boundary", d.boundary, ("sum", "vote", "agree")
  )
  yield from _one_of("distillation.parts", d.parts, ("truncate", "overlap"))
  yield from _least("cache.views", c.cache.views, 1)
  yield from _least("cache.logits", c.cache.logits, 0)
  yield from _one_of("cache.dtype", c.cache.dtype, ("float16", "float32"))
  for name, one in c.teachers.items():
    if one.model.get("name") == defaults.IMPORTED:
      yield from _imported(name, one)
    where = f"teachers.{name}.boundary_"
    yield from _one_of(where + "centre", one.boundary_centre, losses.CENTRES)
    yield from _one_of(where + "reduce", one.boundary_reduce, losses.REDUCTIONS)
    for key in ("temperature", "scale"):
      if isinstance(one[key], int | float) and one[key] <= 0:
        yield (
          f"config.teachers.{name}.{key} is {one[key]}; give a positive number"
        )


def _imported(name: str, teacher: ConfigDict) -> Iterator[str]:
  if not teacher.cache:
    yield (
      f"teacher {name} is imported, and its outputs are missing; give "
      f"--config.teachers.{name}.cache=<folder that scripts/import_teacher.py "
      "wrote>"
    )
  if teacher.checkpoint:
    yield (
      f"config.teachers.{name}.checkpoint is {teacher.checkpoint}, but the "
      "teacher is imported: no network here reads it; leave it empty"
    )


def _quantization(c: ConfigDict) -> Iterator[str]:
  yield from quantize.mistakes(c)
  sharpness = c.sharpness  # a number or a schedule, which is read elsewhere
  if not hasattr(sharpness, "items"):
    sharpness = {"value": sharpness}
  for key in ("value", "start", "end"):
    value = sharpness.get(key, 0)
    if isinstance(value, int | float) and value < 0:
      yield (
        f"config.quantization.sharpness has a {key} of {value}; give 0 "
        "(straight) or more"
      )


def _clip(c: ConfigDict) -> Iterator[str]:
  yield from _one_of("clip.kind", c.kind, defaults.CLIP_KEYS)
  if c.kind not in defaults.CLIP_KEYS:
    return
  used = defaults.CLIP_KEYS[c.kind]
  for key, unset in defaults.clip(c.kind).items():
    if key in used:
      yield from _least(f"clip.{key}", c[key], 0 if key == "skip" else 1)
    elif key != "kind" and c[key] not in (0, unset):
      yield (
        f"config.clip.{key} is {c[key]}, but clips of kind {c.kind} use "
        f"{', '.join(used)} only; leave it at {unset}"
      )
  if "min_frames" in used and c.min_frames > c.max_frames:
    yield (
      f"config.clip.min_frames is {c.min_frames}, above max_frames, "
      f"{c.max_frames}; lower it"
    )


def _nan(where: str, section: ConfigDict) -> Iterator[str]:
  for key, value in section.items():
    if isinstance(value, ConfigDict):
      yield from _nan(f"{where}.{key}", value)
    elif isinstance(value, float) and math.isnan(value):
      yield f"{where}.{key} is {value}; give a number"


def _least(key: str, value: float, least: int) -> Iterator[str]:
  if value < least:
    yield f"config.{key} is {value}; give at least {least}"


def _one_of(key: str, value: str, known: Collection[str]) -> Iterator[str]:
  if value not in known:
    names = ", ".join(one or "'' (none)" for one in known)
    yield f"config.{key} is {value!r}; give one of {names}"
