"""Sections of OpenGait's YAML: what is read, and what is left over."""

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

from gaitkd_jax import errors

_REQUIRED = object()


class Section:
  """A mapping that remembers which of its keys were read."""

  def __init__(self, values: Any, name: str) -> None:
    if not isinstance(values, Mapping):
      raise errors.UserError(f"{name} is {values!r}; give its keys and values")
    self.values, self.name = values, name
    self.read: set[str] = set()
    self._sections: list[Section] = []

  def __contains__(self, key: str) -> bool:
    return key in self.values

  def get(
    self,
    key: str,
    fits: Callable[[Any], bool],
    kind: str,
    default: Any = _REQUIRED,
  ) -> Any:
    """Reads a value that must be of some kind; lists become tuples."""
    self.read.add(key)
    value = self.values.get(key, default)
    if value is _REQUIRED:
      raise errors.UserError(f"{self.name} lacks {key} ({kind})")
    if not fits(value):
      raise errors.UserError(
        f"{self.name}.{key} is {value!r}, which is not offered; known: {kind}"
      )
    return tuple(value) if isinstance(value, list) else value

  def integer(self, key: str, default: Any = _REQUIRED) -> int:
    """Reads a number."""
    return self.get(key, _is_integer, "a number", default)

  def integers(self, key: str) -> tuple[int, ...]:
    """Reads a list of numbers."""
    return self.get(
      key,
      lambda v: isinstance(v, list | tuple) and all(map(_is_integer, v)),
      "a list of numbers",
    )

  def flag(self, key: str, default: bool) -> bool:
    """Reads true or false."""
    return self.get(
      key, lambda v: isinstance(v, bool), "true or false", default
    )

  def only(self, key: str, value: Any, default: Any = _REQUIRED) -> None:
    """Reads a key whose only offered value is `value`."""
    self.get(
      key,
      lambda v: v == value and isinstance(v, bool) == isinstance(value, bool),
      str(value),
      default,
    )

  def section(self, key: str) -> "Section":
    """Reads a mapping inside this one."""
    self.read.add(key)
    if key not in self.values:
      raise errors.UserError(f"{self.name} lacks {key}")
    part = Section(self.values[key], f"{self.name}.{key}")
    self._sections.append(part)
    return part

  def finish(self) -> None:
    """Refuses keys that were not read, here and in the mappings inside."""
    unknown = sorted(str(key) for key in set(self.values) - self.read)
    if unknown:
      raise errors.UserError(
        f"{self.name} has {', '.join(unknown)}, which is not offered; known: "
        f"{', '.join(sorted(self.read))}"
      )
    for section in self._sections:
      section.finish()


def _is_integer(value: Any) -> bool:
  return type(value) is int and value >= 0
