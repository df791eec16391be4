"""OpenGait state dicts to Flax variables, and back.

The rules that a network declares say where each of its arrays lies; what is
left over or missing is an error that lists it.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import re
from typing import Any
from typing import TypeVar

import jax
import numpy as np
import numpy.typing as npt

from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax.opengait import rules

# Keys that stand for nothing in Flax variables, by what they are.
IGNORED: Mapping[str, re.Pattern[str]] = {
  "of teachers": re.compile(r"^teacher_models?\."),
  "of losses": re.compile(r"^loss_aggregator\."),
  "of self-supervised students": re.compile(r"^student_backbone\."),
  "counters": re.compile(r"num_batches_tracked$"),
  "position indices": re.compile(r"relative_position_index$"),
}
_NECK = "BNNecks.fc_bin"
_CLASSIFIERS = (_NECK, "Head1.fc_bin")
_LINEAR = ("FCs.fc_bin", "Head.fc_bin")
_LISTED = 12  # names in an error
T = TypeVar("T")


class MisfitError(errors.UserError):
  """Weights are not of the network that a config describes."""


def variables_from_opengait(
  state: Mapping[str, npt.ArrayLike], model_config: Mapping[str, Any]
) -> dict[str, Any]:
  """Converts the state dict of an OpenGait model.

  Args:
    state: arrays, or what numpy makes arrays of, such as `torch_file.Tensor`,
      by OpenGait's key. Prefixes `module.` are stripped; keys of teachers, of
      losses, what OpenGait computes itself and what it never uses of the
      network are ignored.
    model_config: the model's config, as for `models.create_model`.

  Returns:
    `{"params": ..., "batch_stats": ...}` for `module.apply`.

  Raises:
    MisfitError: a key is left over or missing, or has another shape; the
      message lists them, or says which value of the config makes the file fit.
    UserError: an array holds no numbers, or its file is damaged.
  """
  places = _places(model_config)
  state = relevant(state)
  shapes = {key: np.shape(value) for key, value in state.items()}
  state = _used(state, model_config)
  if reason := _misfit(_used(shapes, model_config), places):
    raise MisfitError(_explain(reason, shapes, model_config))
  variables: dict[str, Any] = {"params": {}, "batch_stats": {}}
  for key, value in state.items():
    try:
      value = np.asarray(value, np.float32)
    except errors.UserError:  # its file is damaged
      raise
    except (TypeError, ValueError) as e:
      raise errors.UserError(
        f"{key} of the OpenGait weights holds no numbers: {e}"
      ) from e
    *parents, leaf = places[key].path.split("/")
    node = variables
    for parent in parents:
      node = node.setdefault(parent, {})
    node[leaf] = rules.from_opengait(value, places[key])
  return variables


def variables_to_opengait(
  variables: Mapping[str, Any], model_config: Mapping[str, Any]
) -> dict[str, np.ndarray]:
  """The inverse of `variables_from_opengait`.

  Args:
    variables: `{"params": ..., "batch_stats": ...}` of that model.
    model_config: the model's config, as for `models.create_model`.

  Returns:
    A state dict that OpenGait loads: float32 arrays by key, and what it keeps
    besides: the counters of normalised batches, which are 0, and the position
    indices of SwinGait's windows (int64), and the values that the network gives
    to arrays which OpenGait never uses (`GaitNetwork.opengait_unused`).

  Raises:
    UserError: the variables are not those of the config; one is named.
  """
  given = {
    rules.path_name(path): x for path, x in jax.tree.leaves_with_path(variables)
  }
  places = _places(model_config)
  wanted = {place.path: place.shape for place in places.values()}
  shapes = {path: np.shape(value) for path, value in given.items()}
  different = [k for k in wanted | shapes if wanted.get(k) != shapes.get(k)]
  if different:
    path = min(different)
    raise errors.UserError(
      f"the variables are not those of model {model_config['name']}: {path} "
      f"has shape {shapes.get(path)}, not {wanted.get(path)}"
    )
  state = {}
  for key, place in places.items():
    value = np.asarray(given[place.path], np.float32)
    state[key] = np.array(rules.to_opengait(value, place), order="C")
    prefix = key.rpartition(".")[0]
    for leaf, computed in place.beside.items():
      state[f"{prefix}.{leaf}"] = computed.copy()
  unused = models.create_model(model_config).opengait_unused
  return state | {key: value.copy() for key, value in unused.items()}


def ignored(
  keys: Iterable[str], model_config: Mapping[str, Any]
) -> dict[str, int]:
  """How many keys `variables_from_opengait` leaves out, by what they are."""
  short = [key.removeprefix("module.") for key in keys]
  found = {
    name: sum(bool(pattern.search(key)) for key in short)
    for name, pattern in IGNORED.items()
  }
  kept = relevant(dict.fromkeys(short))
  found["never used"] = len(kept) - len(_used(kept, model_config))
  return found


def relevant(state: Mapping[str, T]) -> dict[str, T]:
  """What has a place in a network, without the prefix that DDP adds.

  Args:
    state: arrays, or anything else, by OpenGait's key.

  Returns:
    Those that are not ignored, by their keys without `module.`.
  """
  found: dict[str, T] = {}
  for key, value in state.items():
    short = key.removeprefix("module.")
    if not any(pattern.search(short) for pattern in IGNORED.values()):
      # An array that is there with and without the prefix keeps it once, and
      # so is reported as left over.
      found[f"module.{short}" if short in found else short] = value
  return found


def _used(
  state: Mapping[str, T], model_config: Mapping[str, Any]
) -> dict[str, T]:
  """The relevant arrays without those that OpenGait never uses."""
  unused = models.create_model(model_config).opengait_unused
  return {key: value for key, value in state.items() if key not in unused}


def _places(model_config: Mapping[str, Any]) -> dict[str, rules.Place]:
  module = models.create_model(model_config)
  return rules.places(module, model_config["name"])


def _misfit(
  shapes: Mapping[str, tuple[int, ...]], places: Mapping[str, rules.Place]
) -> str:
  """Says what does not fit, or nothing."""
  left_over, missing = set(shapes) - set(places), set(places) - set(shapes)
  if left_over or missing:
    return f"left over {_list(left_over)}; missing {_list(missing)}"
  for key, shape in shapes.items():
    place = places[key]
    empty = np.broadcast_to(np.float32(0), place.shape)
    wanted = rules.to_opengait(empty, place).shape
    if shape != wanted:
      return f"{key} has shape {shape}, but the config asks for {wanted}"
  return ""


def _explain(
  reason: str,
  shapes: Mapping[str, tuple[int, ...]],
  model_config: Mapping[str, Any],
) -> str:
  """The message about weights that do not fit a config."""
  name = model_config["name"]
  change = _fitting_change(shapes, model_config)
  if not change:
    return (
      f"the OpenGait weights do not fit model {name}: {reason}; compare mode, "
      "channels, blocks and num_classes with its YAML"
    )
  has = ", ".join(
    f"{key} {value}, not {model_config.get(key, 'the default')}"
    for key, value in change.items()
  )
  flags = " ".join(f"--config.model.{k}={v}" for k, v in change.items())
  return (
    f"the OpenGait weights are of a {name} with {has}; give {flags} (or "
    "correct OpenGait's YAML)"
  )


def _fitting_change(
  shapes: Mapping[str, tuple[int, ...]], model_config: Mapping[str, Any]
) -> dict[str, Any]:
  """Values that, put into the config, make the file fit, or nothing.

  The kind of the network, its head and the number of classes are looked for.
  """
  name = model_config["name"]
  keys = models.config_keys(name)
  told: dict[str, Any] = {}
  if "neck" in keys:
    told["neck"] = _NECK in shapes
  if "num_classes" in keys:
    heads = [shapes[key] for key in _CLASSIFIERS if shapes.get(key)]
    told["num_classes"] = heads[0][-1] if heads else 0
  if "embedding_dim" in keys and not shapes.keys() & set(_LINEAR):
    told["embedding_dim"] = 0
  for kind in models.MODELS[name].kinds.values() or ({},):
    values = {**kind, **told}
    change = {k: v for k, v in values.items() if model_config.get(k) != v}
    if not change:
      continue
    try:
      places = _places({**model_config, **change})
    except errors.UserError:  # a search by the neck's features needs a neck
      continue
    if not _misfit(_used(shapes, {**model_config, **change}), places):
      return change
  return {}


def _list(keys: set[str]) -> str:
  names = sorted(keys)
  if len(names) > _LISTED:
    names = [*names[:_LISTED], f"and {len(names) - _LISTED} more"]
  return ", ".join(names) if names else "nothing"
