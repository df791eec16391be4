"""What a compiled program reads and writes, and the memory that it takes."""

from collections.abc import Iterator
import dataclasses
import math
import re
from typing import Any

# An array's type and dimensions, such as "bf16[8,64]".
_ARRAY = re.compile(r"\b(pred|bf16|[csuf]\d+)\w*\[([\d,]*)\]")
_INSTRUCTION = re.compile(
  r"\s*(?:ROOT )?%?(?P<name>[\w.\-]+) = (?P<shape>\(.*?\)|\S+) "
  r"(?P<kind>[a-z][\w\-]*)\((?P<rest>.*)$"
)
# They move nothing, or what another instruction moves.
_FREE = {
  "after-all",
  "bitcast",
  "constant",
  "get-tuple-element",
  "opt-barrier",
  "parameter",
  "partition-id",
  "tuple",
}


@dataclasses.dataclass(frozen=True)
class Memory:
  """Bytes that a program takes on each device.

  Attributes:
    arguments: what it is given.
    results: what it returns.
    reused: of the results, those that are written over arguments.
    temporaries: what it needs in between.
  """

  arguments: int
  results: int
  reused: int
  temporaries: int

  @property
  def total(self) -> int:
    """All of it together."""
    return self.arguments + self.results - self.reused + self.temporaries


def program_memory(compiled: Any) -> Memory:
  """Reads the memory of a `jax.stages.Compiled`, as its compiler planned it."""
  stats = compiled.memory_analysis()
  return Memory(
    arguments=stats.argument_size_in_bytes,
    results=stats.output_size_in_bytes,
    reused=stats.alias_size_in_bytes,
    temporaries=stats.temp_size_in_bytes,
  )


def entry_traffic(hlo: str) -> int:
  """Bytes that the instructions of a program read and write.

  The operands and results of every instruction of the entry computation are
  added up, as if each went to memory and back once. What a cache holds, what is
  read twice and what a library needs inside do not count: an estimate, which
  serves to compare two versions of a program.

  Args:
    hlo: text of an optimised HLO module, `jax.stages.Compiled.as_text()`.

  Returns:
    Bytes on one device.

  Raises:
    ValueError: there is no entry computation.
  """
  sizes: dict[str, float] = {}
  total = 0.0
  for name, shape, kind, rest in _entry(hlo):
    sizes[name] = _bytes(shape)
    if kind in _FREE or kind.endswith("-done"):
      continue
    read = sum(sizes.get(operand, 0) for operand in _operands(rest))
    # The result of a start names its operands once more.
    total += 2 * read if kind.endswith("-start") else read + sizes[name]
  return round(total)


def _entry(hlo: str) -> Iterator[tuple[str, str, str, str]]:
  """Name, shape, kind and the rest of every instruction of the entry."""
  found = re.search(r"^ENTRY .*?^\}", hlo, re.M | re.S)
  if found is None:
    raise ValueError("the text has no entry computation")
  for line in found[0].splitlines()[1:]:
    match = _INSTRUCTION.match(line)
    if match:
      yield match["name"], match["shape"], match["kind"], match["rest"]


def _operands(rest: str) -> list[str]:
  """The names in front of the parenthesis that closes the operands."""
  depth = 1
  for i, letter in enumerate(rest):
    depth += (letter == "(") - (letter == ")")
    if not depth:
      rest = rest[:i]
      break
  return re.findall(r"%([\w.\-]+)", rest)


def _bytes(shape: str) -> float:
  """Bytes of an array, or of all arrays of a tuple."""
  total = 0.0
  for dtype, dimensions in _ARRAY.findall(shape):
    bits = 8 if dtype == "pred" else int(dtype.lstrip("bcfsu"))
    total += bits / 8 * math.prod(map(int, filter(None, dimensions.split(","))))
  return total
