"""Reads a network's rules: which OpenGait array goes where, and how.

The rules themselves are declared by the networks; see
`GaitNetwork.opengait_rules`.
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
from gaitkd_jax.models import opengait_keys

# The window axis of length 1 that a kernel lacks in Flax.
_LACKING = {"spatial": 0, "temporal": 1}


class Place(NamedTuple):
  """Where an array lies in Flax variables.

  Attributes:
    path: such as "params/fc/kernel".
    layout: see `opengait_keys.Rule`.
    shape: in Flax.
    parts: of the network.
    beside: see `opengait_keys.Rule`.
  """

  path: str
  layout: str
  shape: tuple[int, ...]
  parts: int
  beside: Mapping[str, np.ndarray]


def places(module: models.GaitNetwork, name: str) -> dict[str, Place]:
  """Where every array of a network lies, by OpenGait's key.

  Args:
    module: the network.
    name: of its family, for messages.

  Raises:
    UserError: OpenGait lacks the network, or one of its arrays.
  """
  rules = module.opengait_rules
  if not rules:
    raise errors.UserError(f"model {name} has no counterpart in OpenGait")
  shapes = {
    path_name(path): leaf.shape
    for path, leaf in jax.tree.leaves_with_path(
      models.abstract_variables(module)
    )
  }
  # The linear layer of some networks has a part more than their strips.
  parts = shapes.get("params/fc/kernel", (sum(module.bins),))[0]
  found = {}
  for path, shape in shapes.items():
    key, rule = _rule_of(path, rules)
    found[key] = Place(path, rule.layout, shape, parts, rule.beside)
  return found


def from_opengait(value: np.ndarray, place: Place) -> np.ndarray:
  """Turns OpenGait's axes into those of Flax."""
  if place.layout == "neck":
    value = value.reshape(-1, place.parts).T.reshape(-1)
  elif place.layout != "same":
    value = np.moveaxis(value, (0, 1), (-1, -2))
    if place.layout in _LACKING:
      value = np.squeeze(value, _LACKING[place.layout])
  return np.ascontiguousarray(value)


def to_opengait(value: np.ndarray, place: Place) -> np.ndarray:
  """Turns the axes of Flax into OpenGait's."""
  if place.layout == "neck":
    return value.reshape(place.parts, -1).T.reshape(-1)
  if place.layout == "same":
    return value
  if place.layout in _LACKING:
    value = np.expand_dims(value, _LACKING[place.layout])
  return np.moveaxis(value, (-1, -2), (0, 1))


def path_name(path: Sequence[Any]) -> str:
  """The path of a leaf as rules write it."""
  return "/".join(k.key for k in path)


def _rule_of(
  path: str, rules: opengait_keys.Rules
) -> tuple[str, opengait_keys.Rule]:
  """OpenGait's key of an array, and the rule that tells it."""
  for rule in rules:
    if match := _pattern(rule.path).fullmatch(path):
      return rule.key.format(**match.groupdict()), rule
  raise errors.UserError(f"{path} has no counterpart in OpenGait")


@functools.cache
def _pattern(template: str) -> re.Pattern[str]:
  return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[a-z0-9]+)", template))
