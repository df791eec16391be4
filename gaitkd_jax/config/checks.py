"""Mistakes in a config that can be found without data or networks."""

from collections.abc import Collection

from ml_collections import ConfigDict

from gaitkd_jax import errors
from gaitkd_jax.config import defaults


def check(c: ConfigDict) -> None:
  """Raises a UserError for values that cannot work, or have no effect."""
  _check_keys(c)
  positive = (
    "batch.identities batch.sequences train.steps train.log_every "
    "train.checkpoint_every eval.batch_size eval.max_frames"
  )
  for key in positive.split():
    section, name = key.split(".")
    _check_least(key, c[section][name], 1)
  _check_least("train.eval_every", c.train.eval_every, 0)
  _check_least("eval.subjects", c.eval.subjects, 0)
  if not c.eval.memory_gib > 0:
    raise errors.UserError(
      f"config.eval.memory_gib is {c.eval.memory_gib}; give a positive number"
    )
  _check_least("eval.saliency", c.eval.saliency, 0)
  _check_one_of("eval.map", c.eval.map, ("tsne", "umap", ""))
  _check_one_of("eval.store_dtype", c.eval.store_dtype, ("float32", "float16"))
  _check_one_of("dtype", c.dtype, ("float32", "bfloat16"))
  _check_one_of("batch.sampler", c.batch.sampler, defaults.SAMPLERS)
  _check_distillation(c)
  _check_clip(c.clip)
  _check_modalities(c)


def check_batch(c: ConfigDict, num_devices: int) -> None:
  """Raises a UserError for a batch that the devices cannot share."""
  batch = c.batch.identities * c.batch.sequences
  if batch % num_devices:
    raise errors.UserError(
      f"a batch of config.batch.identities x config.batch.sequences = {batch} "
      f"clips cannot be split over {num_devices} devices; make it a multiple"
    )


def _check_modalities(c: ConfigDict) -> None:
  for modality in c.data.modalities:
    _check_one_of("data.modalities", modality, defaults.MODALITIES)
  if "silhouettes" not in c.data.modalities:
    raise errors.UserError(
      "config.data.modalities has no silhouettes, which every batch holds; "
      "add them"
    )
  networks = {"the student": c.model}
  # The outputs of a cached teacher are stored; it is not shown any clip.
  networks |= {name: t.model for name, t in c.teachers.items() if not t.cache}
  for name, model in networks.items():
    channels = model.get("in_channels", 1)
    if channels > 1 and "heatmaps" not in c.data.modalities:
      raise errors.UserError(
        f"in_channels of {name} is {channels}, which takes heat maps; add "
        "heatmaps to data.modalities"
      )


def _check_keys(c: ConfigDict) -> None:
  """Raises a UserError for a key that is unknown or missing.

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
    sections[f"config.losses.{name}"] = c.losses.get(name, {}), values
  for name, values in c.teachers.items():
    sections[f"config.teachers.{name}"] = values, defaults.teacher(ConfigDict())
  if len(c.eval.data):
    sections["config.eval.data"] = c.eval.data, known.data
  for where, (given, wanted) in sections.items():
    for key in sorted(set(given) ^ set(wanted)):
      what = "has no key" if key in given else "lacks the key"
      raise errors.UserError(
        f"{where} {what} {key}; it has {', '.join(sorted(wanted))}"
      )


def _check_distillation(c: ConfigDict) -> None:
  d = c.distillation
  _check_one_of("distillation.decision", d.decision, ("sum", "mean"))
  _check_one_of("distillation.boundary", d.boundary, ("sum", "vote", "agree"))
  _check_one_of("distillation.parts", d.parts, ("truncate", "overlap"))
  _check_least("cache.views", c.cache.views, 1)
  _check_least("cache.logits", c.cache.logits, 0)
  _check_one_of("cache.dtype", c.cache.dtype, ("float16", "float32"))
  for name, one in c.teachers.items():
    for key in ("temperature", "scale"):
      if isinstance(one[key], int | float) and one[key] <= 0:
        raise errors.UserError(
          f"config.teachers.{name}.{key} is {one[key]}; give a positive number"
        )


def _check_clip(c: ConfigDict) -> None:
  _check_one_of("clip.kind", c.kind, defaults.CLIP_KEYS)
  used = defaults.CLIP_KEYS[c.kind]
  for key, unset in defaults.clip(c.kind).items():
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
      f"config.{key} is {value!r}; give one of "
      + ", ".join(one or "'' (none)" for one in known)
    )
