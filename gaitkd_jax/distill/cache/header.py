"""What a store was made from, and whether it fits a config."""

from collections.abc import Mapping
import hashlib
import json
from typing import Any

from gaitkd_jax import config as config_lib
from gaitkd_jax import errors

FORMAT = 1
# What a header has in the place of a model if that is not here.
IMPORTED = {"name": config_lib.IMPORTED}
# The rows depend on these only if they hold the largest logits.
_OF_LARGEST = ("scale", "temperature")


def describe_data(data: Any, split: Any) -> dict[str, Any]:
  """Describes a training split, so that another one can be told from it.

  Modalities are left out: a student may learn from a teacher of heat maps that
  it does not read itself.

  Args:
    data: `config.data`.
    split: the training split, a `data_pipelines.store.SequenceStore`.

  Returns:
    JSON: name, variant and version of the data set, number of sequences, and
    the SHA-256 of their names, subjects and lengths in order.
  """
  # TensorFlow is loaded by a run, not by an import of this module.
  from data_pipelines import datasets

  names = hashlib.sha256()
  columns = split.names, split.subjects, split.lengths
  for row in zip(*columns, strict=True):
    names.update(" ".join(map(str, row)).encode() + b"\n")
  return {
    "name": data.name,
    "variant": data.variant,
    "version": str(datasets.prepare(data).info.version),
    "sequences": len(split),
    "fingerprint": names.hexdigest(),
  }


def describe_clips(config: Any, data: Mapping[str, Any]) -> dict[str, Any]:
  """Returns what numbered clips depend on, as JSON.

  Args:
    config: the whole config.
    data: as `describe_data` gives it.
  """
  return _json(
    {
      "data": data,
      "clip": config.clip,
      "augment": config.augment,
      "seed": config.seed,
      "views": config.cache.views,
    }
  )


def describe(
  config: Any, name: str, data: Mapping[str, Any], digest: str
) -> dict[str, Any]:
  """Returns what the rows of a teacher's store depend on, as JSON.

  Args:
    config: the whole config.
    name: of the teacher.
    data: as `describe_data` gives it.
    digest: of the teacher's variables; empty if they are not at hand.
  """
  teacher = config.teachers[name]
  network = {"model": teacher.model, "dtype": config.dtype}
  if teacher.model.get("name") == config_lib.IMPORTED:
    network = {"model": IMPORTED}  # whatever else a recipe had there
  return _json(
    {
      "format": FORMAT,
      **network,
      **describe_clips(config, data),
      "scale": teacher.scale,
      "temperature": teacher.temperature,
      # Compared last: that the model or seed differs says more.
      "digest": digest,
    }
  )


def check(
  folder: Any, found: Mapping[str, Any], wanted: Mapping[str, Any]
) -> None:
  """Raises a UserError if a store was made from something else.

  Args:
    folder: of the store, for messages.
    found: its header.
    wanted: as `describe` gives it, or a whole header.
  """
  found, wanted = _json(found), _json(wanted)
  advice = (
    "make the config agree, or fill another folder with --mode=cache and name "
    "that"
  )
  if "imported" in found and wanted.get("model", IMPORTED) != IMPORTED:
    raise errors.UserError(
      f"{folder} holds what was imported of {found['imported']['name']}, and "
      "the config names a network; set the teacher's model.name=imported, or "
      "give another store"
    )
  for key, value in wanted.items():
    if key in _OF_LARGEST and not found.get("largest"):
      continue
    if key == "digest":
      if value and value != found.get(key):
        raise errors.UserError(
          f"{folder} was filled by another checkpoint of the teacher (digest "
          f"{str(found.get(key))[:12]}, now {value[:12]}); {advice}"
        )
      continue
    expected, stored = _leaves(key, value), _leaves(key, found.get(key))
    for leaf in (*expected, *(k for k in stored if k not in expected)):
      if expected.get(leaf) == stored.get(leaf):
        continue
      if leaf == "data.fingerprint":
        raise errors.UserError(
          f"{folder} was filled with other training sequences; {advice}"
        )
      raise errors.UserError(
        f"{folder} was filled with {leaf} {_text(leaf, stored)}, and now it is "
        f"{_text(leaf, expected)}; {advice}"
      )


def _text(leaf: str, leaves: Mapping[str, Any]) -> str:
  return json.dumps(leaves[leaf]) if leaf in leaves else "absent"


def _leaves(key: str, value: Any) -> dict[str, Any]:
  """Flattens nested mappings: "clip.frames" to 30."""
  if not isinstance(value, dict):
    return {key: value}
  leaves: dict[str, Any] = {}
  for name, item in value.items():
    leaves |= _leaves(f"{key}.{name}", item)
  return leaves


def _json(value: Any) -> Any:
  """Turns mappings, those of ml_collections too, and tuples to JSON's."""
  if hasattr(value, "items"):
    return {str(key): _json(item) for key, item in value.items()}
  if isinstance(value, list | tuple):
    return [_json(item) for item in value]
  return value
