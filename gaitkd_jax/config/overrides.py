"""What a command line changes in a config, and the mistakes in that.

ml_collections stops at the first mistake, and names a part of the key.
"""

from collections.abc import Sequence
import difflib
from typing import Any

from absl import flags
from ml_collections import ConfigDict
from ml_collections.config_flags import tuple_parser

from gaitkd_jax.config import defaults

_PARSERS = {
  bool: (flags.BooleanParser(), "true or false"),
  int: (flags.IntegerParser(), "a whole number"),
  float: (flags.FloatParser(), "a number"),
}
_NEAREST = 3  # known keys that are named beside an unknown one
# What a test set shares with the training set, whatever else it is.
_OF_ANY_DATA = ("prepared", "modalities", "cache_gib")


def mistakes(
  config: ConfigDict, given: Sequence[tuple[str, str | None]], flag: str
) -> list[str]:
  """Finds what is wrong with the values that a command line gives.

  Args:
    config: as its file makes it.
    given: keys such as "train.steps", and the text of their values; None where
      a flag stands alone, as `--config.eval.report`.
    flag: name of the flag that names the file, "config".

  Returns:
    One text for each mistake, in the order of `given`.
  """
  found = (_mistake(config, key, text, flag) for key, text in given)
  return [text for text in found if text]


def type_of(config: ConfigDict, key: str) -> type | None:
  """The type of a value by its dotted key; None if there is no such key."""
  section, _, name = key.rpartition(".")
  holder = _section(config, section)
  if holder is None or name not in holder:
    return None
  return holder.get_type(name)


def nearest(config: ConfigDict, key: str) -> list[str]:
  """Known keys that are like this one; those that end like it come first."""
  flat = _flat(config)
  values = [k for k, value in flat.items() if not isinstance(value, ConfigDict)]
  if key in values:
    return [key]
  last = key.rpartition(".")[2]
  found = [k for k in values if k.rpartition(".")[2] == last]
  for known in (values, list(flat)):
    found = found or difflib.get_close_matches(key, known, n=_NEAREST)
  return found[:_NEAREST]


def open_test_data(config: ConfigDict, given: dict[str, str | None]) -> None:
  """Gives an empty `eval.data` its keys, if a command line sets one of them.

  They are then those of `data`, and follow it. A set of another name has no
  more of `data` than what is of this machine and of the network.

  Args:
    config: as its file makes it; is changed.
    given: texts of values by key.
  """
  if not any(key.startswith("eval.data.") for key in given):
    return
  if not isinstance(_section(config, "eval.data"), ConfigDict):
    return
  if len(config.eval.data) or not isinstance(config.get("data"), ConfigDict):
    return
  own = given.get("data.name", config.data.get("name"))
  same = given.get("eval.data.name", own) == own
  values = defaults.data()
  for key in values if same else _OF_ANY_DATA:
    if key in config.data:
      values[key] = config.data.get_oneway_ref(key)
  with config.unlocked():
    config.eval.data = values


def _mistake(
  config: ConfigDict, key: str, text: str | None, flag: str
) -> str | None:
  kind = type_of(config, key)
  if kind is None:
    return _unknown(config, key, flag)
  section, _, name = key.rpartition(".")
  now = _section(config, section)[name]
  said = f"--{flag}.{key}" + ("" if text is None else f"={text}")
  if issubclass(kind, ConfigDict):
    inside = ", ".join(now) or "nothing yet: only a config file can fill it"
    return f"{said}: {flag}.{key} is a section; set a key of it ({inside})"
  if text is None and kind is not bool:
    return f"{said}: no value is given; it is {now!r} now"
  if kind is tuple:
    return _wrong_tuple(said, key, text, now, flag)
  parser, wanted = _PARSERS.get(kind, (None, ""))
  if parser is None or text is None:
    return None
  try:
    parser.parse(text)
  except (TypeError, ValueError):
    shown = str(now).lower() if kind is bool else now
    return f"{said}: give {wanted}; it is {shown} now"
  return None


def _unknown(config: ConfigDict, key: str, flag: str) -> str:
  holder, where = config, flag
  for name in key.split("."):
    if not isinstance(holder.get(name), ConfigDict):
      break
    holder, where = holder[name], f"{where}.{name}"
  if name in holder:
    value = holder[name]
    return f"--{flag}.{key}: {where}.{name} is no section but {value!r}"
  said = f"--{flag}.{key}: {where} has no key {name!r}"
  if not len(holder):
    return f"{said}: it is empty here, and only a config file can fill it"
  if near := nearest(config, key):
    return f"{said}; nearest: {', '.join(f'{flag}.{k}' for k in near)}"
  return f"{said}; it has {', '.join(sorted(holder))}"


def _wrong_tuple(
  said: str, key: str, text: str, now: tuple[Any, ...], flag: str
) -> str | None:
  kinds = {type(value) for value in now}
  example = f'--{flag}.{key}="{now or ("one", "another")}"'
  try:
    values = tuple_parser.TupleParser().parse(text)
  except ValueError:
    return f"{said}: is no list of values; write it as {example}"
  if kinds == {float}:
    kinds.add(int)
  wrong = kinds and {type(value) for value in values} - kinds
  # Texts without quotes are read as one text.
  if wrong or (values == (text,) and "," in text):
    return f"{said}: give values as these are: {example}"
  return None


def _section(config: ConfigDict, key: str) -> ConfigDict | None:
  """The section of a dotted key; None if there is none."""
  node = config
  for name in key.split(".") if key else ():
    if not isinstance(node, ConfigDict) or name not in node:
      return None
    node = node[name]
  return node if isinstance(node, ConfigDict) else None


def _flat(config: ConfigDict, prefix: str = "") -> dict[str, Any]:
  """All keys, dotted, those of sections too."""
  flat = {}
  for name, value in config.items():
    flat[f"{prefix}{name}"] = value
    if isinstance(value, ConfigDict):
      flat |= _flat(value, f"{prefix}{name}.")
  return flat
