"""Colours of the page and of its charts, for light and dark."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Theme:
  """One set of colours, each "#rrggbb".

  Attributes:
    page: behind everything.
    card: behind tables and pictures' captions.
    ink: of text.
    faint: of labels and captions.
    line: of borders and grids.
    accent: of what is pointed at.
    right: of right matches.
    wrong: of wrong matches.
    missing: of cells without a figure.
    shades: from the lowest to the highest figure of a heat map.
    lines: of curves.
  """

  page: str
  card: str
  ink: str
  faint: str
  line: str
  accent: str
  right: str
  wrong: str
  missing: str
  shades: tuple[str, ...]
  lines: tuple[str, ...]


# Curves by Okabe and Ito ("Color Universal Design", 2008), told apart by the
# colour-blind too; darkened or lightened where the page would swallow them.
LIGHT = Theme(
  page="#ffffff",
  card="#f5f7fa",
  ink="#16202c",
  faint="#566476",
  line="#d9dfe7",
  accent="#b34700",
  right="#00684f",
  wrong="#b3400a",
  missing="#eceff3",
  shades=("#eef4fb", "#9cc4ea", "#3f86c6", "#0b4479"),
  lines=("#0072b2", "#d55e00", "#009e73", "#b5539a", "#b07c00", "#3d9bd1"),
)
DARK = Theme(
  page="#12171e",
  card="#1a212a",
  ink="#e8edf3",
  faint="#9aa8b8",
  line="#303a47",
  accent="#ffa552",
  right="#3ecfa6",
  wrong="#ff9a62",
  missing="#1c232c",
  shades=("#1b2836", "#235a8c", "#4a96d2", "#b5dbfa"),
  lines=("#56b4e9", "#ff8a3d", "#2fc79a", "#d98cc3", "#f0c04a", "#8fa8ff"),
)
