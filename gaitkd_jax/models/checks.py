"""What the values of a model config must be, said by the networks themselves.

A check is a test and the words that follow "give" in the message of a value
that fails it.
"""

from collections.abc import Callable
from typing import Any
from typing import NamedTuple


class Check(NamedTuple):
  """One demand on the value of a config key.

  Attributes:
    fits: whether a value is acceptable.
    wanted: what to give instead, for a message.
  """

  fits: Callable[[Any], bool]
  wanted: str


def at_least(low: int, wanted: str = "") -> Check:
  """A number of at least `low`."""
  return Check(
    lambda v: isinstance(v, int | float) and v >= low,
    wanted or f"at least {low}",
  )


def integers(least: tuple[int, ...], wanted: str) -> Check:
  """As many integers as `least` has, each at least as large as its entry."""
  return Check(
    lambda v: (
      isinstance(v, tuple)
      and len(v) == len(least)
      and all(isinstance(x, int) for x in v)
      and all(x >= low for x, low in zip(v, least, strict=True))
    ),
    wanted,
  )


def one_of(*values: Any) -> Check:
  """One of a few values."""
  *others, last = map(str, values)
  wanted = f"{', '.join(others)} or {last}" if others else last
  return Check(lambda v: v in values, wanted)


def some_of(*values: Any) -> Check:
  """One or more of a few values, each as often as wanted."""
  wanted = f"one or more of {', '.join(map(str, values))}"
  return Check(
    lambda v: isinstance(v, tuple) and bool(v) and set(v) <= set(values), wanted
  )


def either(first: Check, second: Check, wanted: str) -> Check:
  """Whatever passes one of two checks."""
  return Check(lambda v: first.fits(v) or second.fits(v), wanted)


def boolean() -> Check:
  """True or False."""
  return Check(lambda v: isinstance(v, bool), "True or False")


FOUR_WIDTHS = integers((1, 1, 1, 1), "four positive numbers")
WIDTHS = Check(
  lambda v: (
    isinstance(v, tuple)
    and bool(v)
    and all(isinstance(x, int) and x >= 1 for x in v)
  ),
  "one or more positive numbers",
)
THREE_WIDTHS = integers((1, 1, 1), "three positive numbers")
# Widths of GaitPart and GaitGL: the number of stages depends on the variant.
VARIANT_WIDTHS = either(
  THREE_WIDTHS,
  FOUR_WIDTHS,
  "three positive numbers, or four with variant large",
)
VARIANT = one_of("casiab", "large")
# A stage that halves the image cannot be left out.
FOUR_DEPTHS = integers(
  (0, 1, 1, 0), "four numbers, positive in the second and third place"
)
