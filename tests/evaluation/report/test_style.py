"""The style sheet: complete, and readable in both themes."""

import re

import pytest

from gaitkd_jax.evaluation.report import palette
from gaitkd_jax.evaluation.report import style


def luminance(colour):
  """Relative luminance (WCAG 2) of "#rrggbb"."""
  parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
  linear = [
    x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts
  ]
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
  lighter, darker = sorted(map(luminance, (one, other)), reverse=True)
  return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [palette.LIGHT, palette.DARK])
def test_texts_can_be_read(theme):
  for ground in (theme.page, theme.card):
    for text in (theme.ink, theme.faint, theme.right, theme.wrong):
      assert contrast(text, ground) >= 4.5
  for line in theme.lines:
    assert contrast(line, theme.page) >= 2.5


def test_every_colour_that_is_used_is_there():
  sheet = style.sheet()
  used = set(re.findall(r"var\(--(\w+)\)", sheet))
  assert used
  for name in used:
    # Once for each theme.
    assert len(re.findall(rf"--{name}:#", sheet)) == 2
  assert sheet.count("{") == sheet.count("}")
