"""OpenGait state dicts to Flax variables, and back.

The tables of `opengait_rules` say where an array lies; what is left over or
missing is an error that lists it.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import functools
import re
from typing import Any
from typing import NamedTuple

import jax
import numpy as np

from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax.models import swin
from gaitkd_jax.opengait import rules

# Keys without a place in our variables, by what they are.
IGNORED: Mapping[str, re.Pattern[str]] = {
  "of teachers": re.compile(r"^teacher_models?\."),
  "of losses": re.compile(r"^loss_aggregator\."),
  "counters": re.compile(r"num_batches_tracked$"),
  "position indices": re.compile(r"relative_position_index$"),
}
_LISTED = 12  # names in an error
# The window axis of length 1 that our kernel lacks.
_LACKING = {"spatial": 0, "temporal": 1}


def variables_from_opengait(
  state: Mapping[str, np.ndarray], model_config: Mapping[str, Any]
) -> dict[str, Any]:
  """Converts the state dict of an OpenGait model.

  Args:
    state: arrays by OpenGait's key. Prefixes `module.` are stripped; keys of
      teachers, of losses and what OpenGait computes itself are ignored.
    model_config: the model's config, as for `models.create_model`.

  Returns:
    `{"params": ..., "batch_stats": ...}` for `module.apply`.

  Raises:
    UserError: a key is left over or missing, or has another shape; the message
      lists them, or says which value of the config makes the file fit.
  """
  places = _places(model_config)
  state = _relevant(state)
  shapes = {key: np.shape(value) for key, value in state.items()}
  if reason := _misfit(shapes, places):
    name = model_config["name"]
    if change := _fitting_change(shapes, model_config):
      has = ", ".join(
        f"{key} {value}, not {model_config.get(key, 'the default')}"
        for key, value in change.items()
      )
      flags = " ".join(f"--config.model.{k}={v}" for k, v in change.items())
      raise errors.UserError(
        f"the OpenGait weights are of a {name} with {has}; give {flags} "
        "(or correct OpenGait's YAML)"
      )
    raise errors.UserError(
      f"the OpenGait weights do not fit model {name}: {reason}; compare mode, "
      "channels, blocks and num_classes with its YAML"
    )
  variables: dict[str, Any] = {"params": {}, "batch_stats": {}}
  for key, value in state.items():
    try:
      value = np.asarray(value, np.float32)
    except (TypeError, ValueError) as e:
      raise errors.UserError(
        f"{key} of the OpenGait weights holds no numbers: {e}"
      ) from e
    place = places[key]
    *parents, leaf = place.path.split("/")
    node = variables
    for parent in parents:
      node = node.setdefault(parent, {})
    node[leaf] = _from_opengait(value, place)
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
    besides, int64: the counters of normalised batches, which are 0, and the
    position indices of SwinGait's windows.

  Raises:
    UserError: the variables are not those of the config; one is named.
  """
  given = {_name(path): x for path, x in jax.tree.leaves_with_path(variables)}
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
    state[key] = np.array(_to_opengait(value, place), order="C")
    prefix, _, leaf = key.rpartition(".")
    if leaf == "running_var":
      state[f"{prefix}.num_batches_tracked"] = np.zeros((), np.int64)
    if leaf == "relative_position_bias_table":
      state[f"{prefix}.relative_position_index"] = swin.relative_index().astype(
        np.int64
      )
  return state


def ignored(keys: Sequence[str]) -> dict[str, int]:
  """How many keys `variables_from_opengait` leaves out, by what they are."""
  keys = [key.removeprefix("module.") for key in keys]
  return {
    name: sum(bool(pattern.search(key)) for key in keys)
    for name, pattern in IGNORED.items()
  }


class _Place(NamedTuple):
  path: str
  layout: str
  shape: tuple[int, ...]  # ours
  parts: int


def _places(model_config: Mapping[str, Any]) -> dict[str, _Place]:
  """Where every array of a model lies, by OpenGait's key."""
  module = models.create_model(model_config)
  name = model_config["name"]
  if name == "deepgaitv2":
    name += f" {module.mode}"
  if name not in rules.RULES:
    raise errors.UserError(f"model {name} has no counterpart in OpenGait")
  shapes = jax.eval_shape(
    functools.partial(models.init_variables, module), jax.random.key(0)
  )
  shapes = {
    _name(path): leaf.shape for path, leaf in jax.tree.leaves_with_path(shapes)
  }
  parts = shapes["params/fc/kernel"][0]
  places = {}
  for path, shape in shapes.items():
    key, layout = _key(path, rules.RULES[name])
    places[key] = _Place(path, layout, shape, parts)
  return places


def _key(path: str, rules: rules.Rules) -> tuple[str, str]:
  """OpenGait's key of our array, and its layout."""
  for rule in rules:
    if match := _pattern(rule.path).fullmatch(path):
      return rule.key.format(**match.groupdict()), rule.layout
  raise errors.UserError(f"{path} has no counterpart in OpenGait")


@functools.cache
def _pattern(template: str) -> re.Pattern[str]:
  return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[a-z0-9]+)", template))


def _relevant(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """What has a place in our variables, without DDP's prefix."""
  relevant: dict[str, np.ndarray] = {}
  for key, value in state.items():
    short = key.removeprefix("module.")
    if not any(pattern.search(short) for pattern in IGNORED.values()):
      # Twice, with and without the prefix: one of them is left over.
      relevant[f"module.{short}" if short in relevant else short] = value
  return relevant


def _misfit(
  shapes: Mapping[str, tuple[int, ...]], places: Mapping[str, _Place]
) -> str:
  """What does not fit, or nothing."""
  left_over, missing = set(shapes) - set(places), set(places) - set(shapes)
  if left_over or missing:
    return f"left over {_list(left_over)}; missing {_list(missing)}"
  for key, shape in shapes.items():
    place = places[key]
    asked = _to_opengait(np.broadcast_to(np.float32(0), place.shape), place)
    if shape != asked.shape:
      return f"{key} has shape {shape}, but the config asks for {asked.shape}"
  return ""


def _fitting_change(
  shapes: Mapping[str, tuple[int, ...]], model_config: Mapping[str, Any]
) -> dict[str, Any]:
  """Values that, put into the config, make the file fit, or nothing."""
  name = model_config["name"]
  if name in ("gaitset", "gaitpart"):
    return {}
  neck = "BNNecks.fc_bin" in shapes
  head = shapes.get("BNNecks.fc_bin" if neck else "Head1.fc_bin", (0,))
  choices: list[dict[str, Any]] = [{}]
  if name == "gaitgl":
    choices = [{"neck": neck}]
  elif name == "deepgaitv2":
    choices = [{"mode": mode} for mode in ("2d", "p3d", "3d")]
  for choice in choices:
    values = choice | {"num_classes": head[-1] if head else 0}
    try:
      places = _places({**model_config, **values})
    except errors.UserError:  # a search by the neck's features needs a neck
      continue
    if not _misfit(shapes, places):
      return {k: v for k, v in values.items() if model_config.get(k) != v}
  return {}


def _from_opengait(value: np.ndarray, place: _Place) -> np.ndarray:
  """Turns OpenGait's axes into ours."""
  if place.layout == "neck":
    value = value.reshape(-1, place.parts).T.reshape(-1)
  elif place.layout != "same":
    value = np.moveaxis(value, (0, 1), (-1, -2))
    if place.layout in _LACKING:
      value = np.squeeze(value, _LACKING[place.layout])
  return np.ascontiguousarray(value)


def _to_opengait(value: np.ndarray, place: _Place) -> np.ndarray:
  """Turns our axes into OpenGait's."""
  if place.layout == "neck":
    return value.reshape(place.parts, -1).T.reshape(-1)
  if place.layout == "same":
    return value
  if place.layout in _LACKING:
    value = np.expand_dims(value, _LACKING[place.layout])
  return np.moveaxis(value, (-1, -2), (0, 1))


def _name(path: Sequence[Any]) -> str:
  return "/".join(k.key for k in path)


def _list(keys: set[str]) -> str:
  names = sorted(keys)
  if len(names) > _LISTED:
    names = [*names[:_LISTED], f"and {len(names) - _LISTED} more"]
  return ", ".join(names) if names else "nothing"
