"""The parts of the page: what is shown, and the words around it."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import os
import pathlib
import re
from typing import Any

import numpy as np

from gaitkd_jax.evaluation.protocols import ranks
from gaitkd_jax.evaluation.report import charts as charts_lib
from gaitkd_jax.evaluation.report import curves
from gaitkd_jax.evaluation.report import markup

# Inches: of a chart with a table beside it.
_WIDE = (4.8, 3.3)
_THRESHOLD = "threshold@"
_RANKS = tuple(range(1, 51))
_RANK_TICKS = (1, 2, 3, 5, 10, 20, 50)
# Wider tables than OU-MVLP's 14 views are not read.
_MAX_VIEWS = 14
_LISTED_RANKS = (1, 5, 10, 20, 50)
Labels = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Section:
  """A part of the page.

  Attributes:
    name: of its anchor.
    short: in the list of parts.
    title: above it.
    note: below the title; "" for none.
    content: markup.
    charts: those that are files of their own, too.
  """

  name: str
  short: str
  title: str
  note: str
  content: str
  charts: tuple[charts_lib.Chart, ...] = ()


def spoken(name: str) -> str:
  """A figure's name for readers: "mean/reid_rank1" is "Re-ID Rank-1, mean"."""
  condition, _, figure = name.rpartition("/")
  figure = re.sub(r"\brank(\d+)", r"Rank-\1", figure.replace("_", " "))
  figure = re.sub(r"^reid ", "Re-ID ", figure)
  figure = re.sub(r"^(Rank-\d+) (?=identical|all)", r"\1, ", figure)
  return figure if condition in ("", "all") else f"{figure}, {condition}"


def results(figures: Mapping[str, float]) -> Section:
  """The table by condition: all figures but those of single views."""
  plain = {k: v for k, v in figures.items() if "/view/" not in k}
  names = list(dict.fromkeys(k.partition("/")[0] for k in plain))
  columns = list(dict.fromkeys(k.partition("/")[2] for k in plain))
  rows = [(n, [plain.get(f"{n}/{c}") for c in columns]) for n in names]
  notes = ["In percent."]
  if "rank1_identical_view" in columns:
    notes.append(
      "Rank-1 leaves out pairs of identical views, unless it says otherwise."
    )
  if any(column.startswith("reid_") for column in columns):
    notes.append(
      "Rank-1 is of the gait protocol, Re-ID figures of the re-identification "
      "protocol: never compare one with the other."
    )
  if not np.isfinite(list(plain.values())).all():
    notes.append(
      "A dash is a figure that these data cannot have: one view has no "
      "cross-view figure, and nothing is averaged over nothing."
    )
  return Section(
    "results",
    "Results",
    "Results by condition",
    " ".join(notes),
    markup.table([spoken(c) for c in columns], rows, emphasis="mean"),
  )


def by_view(figures: Mapping[str, float]) -> Section | None:
  """Rank-1 by condition and probe view, as papers print it."""
  views = sorted({k.split("/", 2)[2] for k in figures if "/view/" in k})
  if not 0 < len(views) <= _MAX_VIEWS:
    return None
  names = [n for n in _conditions(figures) if n != "mean"]
  rows = [
    (
      name,
      [figures.get(f"{name}/view/{view}") for view in views]
      + [figures.get(f"{name}/rank1")],
    )
    for name in names
  ]
  return Section(
    "views",
    "Views",
    "Rank-1 by probe view",
    "In percent, the mean over gallery views other than the probe's own.",
    markup.table([*views, "mean"], rows),
  )


def view_pairs(
  scorer: Any, ranker: ranks.Ranker, labels: Labels
) -> Section | None:
  """Heat maps of Rank-1 by probe and gallery view, where there are views."""
  if not hasattr(scorer, "pairs"):
    return None
  pairs = scorer.pairs(ranker, *labels)
  pairs = {k: v for k, v in pairs.items() if v[2].size > 1}
  if not pairs:
    return None
  every = np.concatenate([values.ravel() for _, _, values in pairs.values()])
  every = every[np.isfinite(every)]
  # One scale for all conditions, and never so narrow that noise looks large.
  lowest = 10 * np.floor(min(80, every.min(initial=100)) / 10)
  drawn = tuple(
    charts_lib.heat_map(
      f"views_{_file_name(name)}", name, rows, columns, values, lowest
    )
    for name, (rows, columns, values) in pairs.items()
  )
  notes = [
    "Rank-1 in percent of each probe view in each gallery view, all conditions"
    f" on one scale from {lowest:.0f} to 100. Outlined cells are identical"
    " views."
  ]
  if not all(np.isfinite(values).all() for _, _, values in pairs.values()):
    notes.append("A dash is a pair without probes or without a gallery.")
  return Section(
    "pairs",
    "Pairs of views",
    "Probe view by gallery view",
    " ".join(notes),
    f'<div class="grid">{"".join(map(markup.picture, drawn))}</div>',
    drawn,
  )


def cmc(
  scorer: Any,
  ranker: ranks.Ranker,
  labels: Labels,
  options: Mapping[str, Any],
  trials: Sequence[Any],
) -> Section | None:
  """Rank-k over k, averaged as the protocol does."""
  if "ranks" not in {field.name for field in dataclasses.fields(scorer)}:
    return None
  # Beyond the largest gallery every curve is level.
  last = min(_RANKS[-1], max(len(trial.gallery) for trial in trials))
  wanted = _RANKS[: max(5, last)]
  figures = dataclasses.replace(scorer, ranks=wanted)(
    ranker, *labels, **options
  )
  lines = []
  for name in _conditions(figures):
    y = np.array([figures.get(f"{name}/rank{k}", np.nan) for k in wanted])
    if np.isfinite(y).any():
      lines.append(
        charts_lib.Curve(name, np.array(wanted), y, name in _SUMMARIES)
      )
  if not lines:
    return None
  listed = [k for k in _LISTED_RANKS if k <= wanted[-1]]
  columns = [f"Rank-{k}" for k in listed]
  rows = [(line.label, [line.y[k - 1] for k in listed]) for line in lines]
  lowest = min(np.nanmin(line.y) for line in lines)
  starts = "; ".join(f"{line.label} {line.y[0]:.2f}" for line in lines)
  chart = charts_lib.lines(
    "cmc",
    f"Cumulative match characteristic; Rank-1: {starts}",
    lines,
    x_label="rank",
    y_label="probes found (%)",
    x_ticks={k: str(k) for k in _RANK_TICKS if k <= wanted[-1]},
    log_x=True,
    lowest=10 * np.floor(min(lowest, 99) / 10),
    highest=100.6,
    size=_WIDE,
  )
  return Section(
    "cmc",
    "CMC",
    "Cumulative match characteristic",
    "Rank-k by rank: the share of probes with a right match among the k "
    "nearest, averaged as the protocol does.",
    _beside(markup.picture(chart), markup.table(columns, rows, "mean")),
    (chart,),
  )


def roc(
  rates: Mapping[str, tuple[np.ndarray, np.ndarray]],
  verification: Mapping[str, float],
) -> Section | None:
  """True over false accept rate, and figures at thresholds."""
  if not rates and not verification:
    return None
  lines = []
  for name, (far, tar) in rates.items():
    far, tar = np.asarray(far, np.float64), np.asarray(tar, np.float64)
    shown = np.isfinite(far) & np.isfinite(tar) & (far > 0)
    if not shown.any():
      continue
    far, tar = charts_lib.thinned(far[shown], 100 * tar[shown])
    eer = verification.get(f"{name}/EER", np.nan) / 100
    point = (eer, 100 - 100 * eer) if 0 < eer < 1 else None
    lines.append(charts_lib.Curve(name, far, tar, name in _SUMMARIES, point))
  finite = np.isfinite(list(verification.values()))
  if not lines and not finite.any():
    note = "Nothing to verify: no pairs of one subject, or none of two."
    return Section("roc", "ROC", "Verification", note, "")
  content, drawn = "", ()
  if lines:
    drawn = (_roc_chart(lines),)
    content = markup.picture(drawn[0])
  if verification:
    content = _beside(content, _operating_points(verification))
  notes = [
    "Are two sequences of one subject? Decided by their distance alone. EER, "
    "the dots: where false accepts are as frequent as false rejects. EER and "
    "TAR are in percent."
  ]
  if any(_THRESHOLD in key for key in verification):
    notes.append(
      "Below a TAR: the distance up to which pairs are accepted for it."
    )
  if not finite.all():
    notes.append("A dash: too few pairs for a figure.")
  return Section("roc", "ROC", "Verification", " ".join(notes), content, drawn)


def _roc_chart(lines: list[charts_lib.Curve]) -> charts_lib.Chart:
  """The curves over decades of the false accept rate."""
  first = np.floor(np.log10(min(line.x[0] for line in lines)))
  decades = range(max(-7, int(first)), 1)
  return charts_lib.lines(
    "roc",
    "Receiver operating characteristic: true accept rate over false accept "
    "rate by condition",
    lines,
    x_label="false accept rate (FAR)",
    y_label="true accept rate (TAR, %)",
    x_ticks={10.0**d: f"{10.0**d:g}" for d in decades},
    log_x=True,
    lowest=10 * np.floor(min(line.y.min() for line in lines) / 10),
    highest=100.6,
    size=_WIDE,
  )


def _operating_points(verification: Mapping[str, float]) -> str:
  """EER and TAR by condition; below a TAR the threshold that gives it."""
  names = _conditions(verification)
  columns = list(dict.fromkeys(k.partition("/")[2] for k in verification))
  columns = [c for c in columns if not c.startswith(_THRESHOLD)]
  headings = [column.replace("@FAR=", " at FAR ") for column in columns]
  rows, below = [], {}
  for name in names:
    rows.append((name, [verification.get(f"{name}/{c}") for c in columns]))
    for column, heading in zip(columns, headings, strict=True):
      key = f"{name}/{_THRESHOLD}{column.partition('@')[2]}"
      if np.isfinite(verification.get(key, np.nan)):
        below[name, heading] = markup.distance(verification[key])
  return markup.table(headings, rows, "mean", below)


def training(
  path: str | os.PathLike[str] | None, main_figure: str
) -> Section | None:
  """Curves of the training, if its figures are there."""
  if path is None or not pathlib.Path(path).exists():
    return None
  drawn = tuple(curves.draw(curves.read(path), main_figure))
  if not drawn:
    return None
  return Section(
    "training",
    "Training",
    "Training",
    "",
    f'<div class="grid">{"".join(map(markup.picture, drawn))}</div>',
    drawn,
  )


# Results that sum up the others are drawn in ink.
_SUMMARIES = ("mean", "overall")


def _beside(picture: str, table: str) -> str:
  """A chart, and its figures to the right of it if there is room."""
  return f'<div class="beside">{picture}{table}</div>'


def _conditions(figures: Mapping[str, float]) -> list[str]:
  return list(dict.fromkeys(k.partition("/")[0] for k in figures))


def _file_name(name: str) -> str:
  """A name that every file system takes."""
  return re.sub(r"[^A-Za-z0-9.-]+", "_", name)[:80]
