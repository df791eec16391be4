"""What the values of config keys must be."""

import pytest

from gaitkd_jax.models import checks


@pytest.mark.parametrize(
  "check, good, bad, wanted",
  [
    (checks.at_least(1), (1, 2.5), (0, "x", None), "at least 1"),
    (checks.at_least(0, "some"), (0,), (-1,), "some"),
    (checks.one_of("a", "b", 3), ("a", 3), ("c", 2), "a, b or 3"),
    (checks.one_of("a"), ("a",), ("b",), "a"),
    (checks.some_of(1, 2), ((1,), (2, 2)), ((), (3,), 1), "more of 1, 2"),
    (checks.boolean(), (True, False), (1, 0, None), "True or False"),
    (checks.WIDTHS, ((1,), (1, 2)), ((), (0,), (1.0,), 1), "one or more"),
    (checks.THREE_WIDTHS, ((1, 2, 3),), ((1, 2), (0, 1, 1), 3), "three"),
    (checks.FOUR_WIDTHS, ((1,) * 4,), ((1, 1, 1.0, 1), (1,) * 3), "four"),
    (checks.FOUR_DEPTHS, ((0, 1, 1, 0),), ((1, 0, 1, 1),), "positive in the"),
    (
      checks.VARIANT_WIDTHS,
      ((1,) * 3, (1,) * 4),
      ((1,) * 5, (1, 1, 0)),
      "three positive numbers, or four",
    ),
    (checks.VARIANT, ("casiab", "large"), ("grew",), "casiab or large"),
  ],
)
def test_what_fits_and_what_does_not(check, good, bad, wanted):
  assert all(check.fits(value) for value in good)
  assert not any(check.fits(value) for value in bad)
  assert wanted in check.wanted
