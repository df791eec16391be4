"""The parts of the page: what is shown, and the words around it."""

from collections.abc import Sequence
import dataclasses
import os
import re

import numpy as np

from gaitkd_jax import storage
from gaitkd_jax.evaluation import metrics as metrics_lib
from gaitkd_jax.evaluation import results as results_lib
from gaitkd_jax.evaluation import tables
from gaitkd_jax.evaluation.protocols import verification as verification_lib
from gaitkd_jax.evaluation.report import charts as charts_lib
from gaitkd_jax.evaluation.report import curves
from gaitkd_jax.evaluation.report import heat_map
from gaitkd_jax.evaluation.report import markup

# Inches: of a chart with a table beside it.
_WIDE = (4.8, 3.3)
_RANKS = tuple(range(1, 51))
_RANK_TICKS = (1, 2, 3, 5, 10, 20, 50)
_LISTED_RANKS = (1, 5, 10, 20, 50)
# Results that sum up the others are drawn in ink.
_SUMMARIES = (metrics_lib.MEAN, "overall")


@dataclasses.dataclass(frozen=True)
class Section:
  """A part of the page.

  Attributes:
    name: of its anchor.
    short: its title in the list of parts.
    title: above it.
    note: below the title; "" for none.
    content: markup.
    charts: those in the content; they are written as files, too.
  """

  name: str
  short: str
  title: str
  note: str
  content: str
  charts: tuple[charts_lib.Chart, ...] = ()


def spoken(condition: str, name: str) -> str:
  """A metric's name for readers: reid_rank1 of mean is "Re-ID Rank-1, mean"."""
  said = re.sub(r"\brank(\d+)", r"Rank-\1", name.replace("_", " "))
  said = re.sub(r"^reid ", "Re-ID ", said)
  said = re.sub(r"^(Rank-\d+) (?=identical|all)", r"\1, ", said)
  return said if condition in ("", "all") else f"{said}, {condition}"


def results(metrics: Sequence[metrics_lib.Metric]) -> Section:
  """The table by condition: all metrics but those of single views."""
  overall = {(m.condition, m.name): m.value for m in metrics if m.view is None}
  conditions = list(dict.fromkeys(condition for condition, _ in overall))
  names = list(dict.fromkeys(name for _, name in overall))
  rows = [(c, [overall.get((c, name)) for name in names]) for c in conditions]
  notes = ["In percent."]
  if "rank1_identical_view" in names:
    notes.append(
      "Rank-1 leaves out pairs of identical views, unless it says otherwise."
    )
  if any(name.startswith("reid_") for name in names):
    notes.append(
      "Rank-1 is of the gait protocol, Re-ID figures of the re-identification "
      "protocol: never compare one with the other."
    )
  if not np.isfinite(list(overall.values())).all():
    notes.append(
      "A dash is a figure that these data cannot have: one view has no "
      "cross-view figure, and nothing is averaged over nothing."
    )
  return Section(
    "results",
    "Results",
    "Results by condition",
    " ".join(notes),
    markup.table(
      [spoken("", name) for name in names], rows, emphasis=metrics_lib.MEAN
    ),
  )


def left_out(evaluation: results_lib.Evaluation) -> Section | None:
  """What the figures say nothing of, and why."""
  if not evaluation.left_out:
    return None
  return Section(
    "left_out",
    "Left out",
    "Left out of these figures",
    "",
    "".join(f"<p>{markup.escape(one.text)}</p>" for one in evaluation.left_out),
  )


def by_view(metrics: Sequence[metrics_lib.Metric]) -> Section | None:
  """Rank-1 by condition and probe view, as papers print it."""
  views = sorted({m.view for m in metrics if m.view is not None})
  if not 0 < len(views) <= tables.MAX_VIEWS:
    return None
  rank1 = {(m.condition, m.view): m.value for m in metrics if m.name == "rank1"}
  rows = [
    (condition, [rank1.get((condition, view)) for view in (*views, None)])
    for condition in dict.fromkeys(m.condition for m in metrics)
    if condition != metrics_lib.MEAN
  ]
  return Section(
    "views",
    "Views",
    "Rank-1 by probe view",
    "In percent, the mean over gallery views other than the probe's own.",
    markup.table([*views, "mean"], rows),
  )


def view_pairs(evaluation: results_lib.Evaluation) -> Section | None:
  """Heat maps of Rank-1 by probe and gallery view, where there are views."""
  every = [evaluation.protocol.view_pairs(ranks) for ranks in evaluation.ranks]
  pairs = [p for p in every if p is not None and p.rank1.size > 1]
  if not pairs:
    return None
  values = np.concatenate([p.rank1.ravel() for p in pairs])
  # One scale for all conditions, and never so narrow that noise looks large.
  least = values[np.isfinite(values)].min(initial=100)
  lowest = 10 * np.floor(min(80, least) / 10)
  drawn = tuple(
    heat_map.draw(
      f"views_{_file_name(p.condition)}",
      p.condition,
      p.probe_views,
      p.gallery_views,
      p.rank1,
      lowest,
    )
    for p in pairs
  )
  notes = [
    "Rank-1 in percent of each probe view in each gallery view, all conditions"
    f" on one scale from {lowest:.0f} to 100. Outlined cells are identical"
    " views."
  ]
  if not np.isfinite(values).all():
    notes.append("A dash is a pair without probes or without a gallery.")
  return Section(
    "pairs",
    "Pairs of views",
    "Probe view by gallery view",
    " ".join(notes),
    f'<div class="grid">{"".join(map(markup.picture, drawn))}</div>',
    drawn,
  )


def cmc(evaluation: results_lib.Evaluation) -> Section | None:
  """Rank-k over k, averaged as the protocol does."""
  # Beyond the largest gallery every curve is level.
  largest = max(len(ranks.compared.gallery) for ranks in evaluation.ranks)
  wanted = _RANKS[: max(5, min(_RANKS[-1], largest))]
  lines = _cmc_lines(evaluation, wanted)
  if not lines:
    return None
  listed = [k for k in _LISTED_RANKS if k <= wanted[-1]]
  rows = [(line.label, [line.y[k - 1] for k in listed]) for line in lines]
  starts = "; ".join(f"{line.label} {line.y[0]:.2f}" for line in lines)
  lowest = min(np.nanmin(line.y) for line in lines)
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
  headings = [f"Rank-{k}" for k in listed]
  return Section(
    "cmc",
    "CMC",
    "Cumulative match characteristic",
    "Rank-k by rank: the share of probes with a right match among the k "
    "nearest, averaged as the protocol does.",
    _beside(
      markup.picture(chart), markup.table(headings, rows, metrics_lib.MEAN)
    ),
    (chart,),
  )


def _cmc_lines(
  evaluation: results_lib.Evaluation, ranks: Sequence[int]
) -> list[charts_lib.Curve]:
  """A curve for every condition that has a finite value."""
  metrics = evaluation.protocol.metrics(evaluation.ranks, ranks)
  values = {(m.condition, m.name): m.value for m in metrics if m.view is None}
  lines = []
  for condition in dict.fromkeys(condition for condition, _ in values):
    y = np.array([values.get((condition, f"rank{k}"), np.nan) for k in ranks])
    if np.isfinite(y).any():
      emphasis = condition in _SUMMARIES
      lines.append(charts_lib.Curve(condition, np.array(ranks), y, emphasis))
  return lines


def roc(
  verification: Sequence[verification_lib.Verification],
) -> Section | None:
  """True over false accept rate, and a table at fixed false accept rates."""
  if not verification:
    return None
  lines = [line for one in verification if (line := _roc_line(one)) is not None]
  finite = np.isfinite([m.value for one in verification for m in one.metrics()])
  if not lines and not finite.any():
    note = "Nothing to verify: no pairs of one subject, or none of two."
    return Section("roc", "ROC", "Verification", note, "")
  drawn = (_roc_chart(lines),) if lines else ()
  content = _beside(
    "".join(map(markup.picture, drawn)), _operating_points(verification)
  )
  notes = [
    "Are two sequences of one subject? Decided by their distance alone. EER, "
    "the dots: where false accepts are as frequent as false rejects. EER and "
    "TAR are in percent."
  ]
  if any(one.points for one in verification):
    notes.append(
      "Below a TAR: the distance up to which pairs are accepted for it."
    )
  if not finite.all():
    notes.append("A dash: too few pairs for a figure.")
  return Section("roc", "ROC", "Verification", " ".join(notes), content, drawn)


def _roc_line(
  verification: verification_lib.Verification,
) -> charts_lib.Curve | None:
  """The curve of one condition, as far as it can be drawn."""
  curve = verification.curve
  far, tar = (np.asarray(x, np.float64) for x in (curve.far, curve.tar))
  shown = np.isfinite(far) & np.isfinite(tar) & (far > 0)
  if not shown.any():
    return None
  far, tar = charts_lib.thinned(far[shown], 100 * tar[shown])
  error = verification.equal_error / 100
  point = (error, 100 - 100 * error) if 0 < error < 1 else None
  condition = verification.condition
  return charts_lib.Curve(condition, far, tar, condition in _SUMMARIES, point)


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


def _operating_points(
  verification: Sequence[verification_lib.Verification],
) -> str:
  """EER and TAR by condition; below a TAR the threshold that gives it."""
  rates = list(
    dict.fromkeys(p.false_accept_rate for v in verification for p in v.points)
  )
  headings = {rate: f"TAR at FAR {rate:g}" for rate in rates}
  rows, below = [], {}
  for one in verification:
    points = {point.false_accept_rate: point for point in one.points}
    accepts = [
      points[rate].true_accepts if rate in points else None for rate in rates
    ]
    rows.append((one.condition, [one.equal_error, *accepts]))
    for rate, point in points.items():
      if np.isfinite(point.threshold):
        text = markup.distance(point.threshold)
        below[one.condition, headings[rate]] = text
  return markup.table(
    ["EER", *headings.values()], rows, metrics_lib.MEAN, below
  )


def training(
  path: str | os.PathLike[str] | None, primary_metric: metrics_lib.MetricName
) -> Section | None:
  """Curves of the training, if its log is there."""
  if path is None or not storage.exists(path):
    return None
  rules = curves.marks(storage.path(path).parent)
  drawn = tuple(curves.draw(curves.read(path), primary_metric, rules))
  if not drawn:
    return None
  # A chart has little room for words.
  notes = [f"Step {step:,}: {label}." for step, label in rules.items()]
  return Section(
    "training",
    "Training",
    "Training",
    " ".join(notes),
    f'<div class="grid">{"".join(map(markup.picture, drawn))}</div>',
    drawn,
  )


def _beside(picture: str, table: str) -> str:
  """A chart, and its figures to the right of it if there is room."""
  return f'<div class="beside">{picture}{table}</div>'


def _file_name(name: str) -> str:
  """A name that every file system takes."""
  return re.sub(r"[^A-Za-z0-9.-]+", "_", name)[:80]
