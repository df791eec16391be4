"""Trains the rows of a study by several seeds; writes a table and a plot.

python scripts/study.py --workdir=runs/study --seeds=5 \
  --recorded=<recorded walks>
python scripts/study.py --study=quantisation --workdir=runs/quantisation
python scripts/study.py --workdir=runs/study --seeds=5 --part=0/2 &
python scripts/study.py --workdir=runs/study --seeds=5 --part=1/2 & wait
python scripts/study.py --workdir=runs/study --seeds=5 --report

On the embedded data; --study names a file of scripts/studies/, which has a
config for every row: objectives (the default), teaching, teaching_search,
quantisation, or quantisation_wide. Every run is a workdir of its own; what is
finished is not done again, and what was stopped goes on. The table
(docs/study.md, or docs/study_<study>.md) gives the mean of Rank-1 over
conditions, its standard deviation over seeds, and the difference from the row
that all are compared with, paired by seed, with its 95 % interval (Student's
t); the plot is an SVG beside it. --recorded adds a test on recorded walks in
CASIA-B's layout, which no network was trained on. A study whose teachers are
the same in all rows runs them once a seed, over as many clips as a run draws.
--part=i/n takes every n-th run, for n processes side by side. Every run notes
its machine, and the report names them.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import functools
import json
import os
import pathlib
import platform
from types import ModuleType

from absl import flags
import jax
from ml_collections import ConfigDict
import numpy as np

from gaitkd_jax import cli
from gaitkd_jax import config as config_lib
from gaitkd_jax import errors
from gaitkd_jax import storage
from gaitkd_jax.distill.cache import precompute
from gaitkd_jax.evaluation import evaluate
from gaitkd_jax.quantize import post_training
from gaitkd_jax.training import loop

_STUDY = flags.DEFINE_string("study", "objectives", "of scripts/studies")
_WORKDIR = flags.DEFINE_string("workdir", "runs/study", "results")
_SEEDS = flags.DEFINE_integer("seeds", 3, "of every row", lower_bound=1)
_ROWS = flags.DEFINE_list("rows", [], "some of them; empty for all")
_STEPS = flags.DEFINE_integer("steps", 0, "of a run; 0: the config's")
_RECORDED = flags.DEFINE_string("recorded", "", "folder of recorded walks")
_PART = flags.DEFINE_string("part", "0/1", "i/n: every n-th run from i")
_REPORT = flags.DEFINE_bool("report", False, "only write table and plot")
_DOCS = flags.DEFINE_string("docs", "docs", "where table and plot go")
_SMOKE = flags.DEFINE_bool("smoke", False, "short runs on few walkers, to try")
_MACHINE = "machine.txt"  # in a run's workdir
_STUDIES = pathlib.Path(__file__).resolve().parent / "studies"
# Student's t at 97.5 %, by degrees of freedom from 1.
_T = (12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


@dataclasses.dataclass(frozen=True)
class Row:
  """What table and plot show of a row in one test.

  Attributes:
    seeds: runs that are finished.
    mean: of Rank-1 over them.
    spread: its standard deviation; NaN for one run.
    gain: mean difference from the row compared with, paired by seed.
    half: half of its 95 % interval; both NaN where there is no pair, `half` for
      one.
    further: `gain` and `half` from every row of the study's `FURTHER`.
  """

  seeds: int
  mean: float
  spread: float
  gain: float
  half: float
  further: tuple[tuple[float, float], ...] = ()

  @property
  def interval(self) -> tuple[float, float]:
    """The bounds of the gain; of a single pair the gain itself."""
    half = self.half if np.isfinite(self.half) else 0.0
    return self.gain - half, self.gain + half


Rows = Mapping[str, Row]


@functools.cache
def load_study(name: str) -> ModuleType:
  """The file of a study.

  It has `ROWS`, functions by name that make a config, given how to find the
  folder of another row's run by the same seed; `COMPARED`, the row that the
  others are compared with; `HEAD` and `AGAINST`, the heads of its column and of
  the differences; `FURTHER`, heads by row of further differences; `UNTRAINED`,
  the rows that are only quantised; `TITLE`; `STUDENT`, what is trained; `DOCS`,
  its page; and, if there is any, `CACHED`, how many batches of clips the
  training split holds: the teachers are then run once a seed.
  """
  path = _STUDIES / f"{name}.py"
  if not path.exists():
    known = ", ".join(sorted(p.stem for p in _STUDIES.glob("*.py")))
    raise errors.UserError(f"--study is {name}; give one of {known}")
  return config_lib.load_module(path)


def study() -> ModuleType:
  """That of --study."""
  return load_study(_STUDY.value)


def create_config(name: str, seed: int) -> ConfigDict:
  """The config of a run."""
  c = study().ROWS[name](lambda other: str(folder(other, seed)))
  c.seed = seed
  if _SMOKE.value:
    start = c.train.init_from
    config_lib.smoke(c)
    c.train.init_from = start
  c.train.steps = _STEPS.value or c.train.steps
  if batches := getattr(study(), "CACHED", 0):
    c.cache.views = -(-c.train.steps // batches)
    for teacher in c.teachers:
      stores = storage.path(_WORKDIR.value) / "teachers" / str(seed)
      c.teachers[teacher].cache = str(stores / teacher)
  return c


def _run_teachers(config: ConfigDict) -> None:
  """Fills the caches that a config reads, as far as that has not been done."""
  config = config.copy_and_resolve_references()
  for teacher in config.teachers.values():
    store = storage.path(teacher.cache)
    teacher.cache = ""
    done = store / "study.txt"
    if not storage.exists(done):
      precompute.fill(config, store.parent)
      storage.write_text(done, machine())


def folder(name: str, seed: int) -> storage.Path:
  """Where a run lies."""
  letters = "".join(ch if ch.isalnum() else "_" for ch in name.lower())
  return storage.path(_WORKDIR.value) / letters / str(seed)


def read_metrics(workdir: storage.Path, step: int) -> dict[str, float] | None:
  """The metrics of a finished evaluation, or None."""
  path = workdir / "eval" / f"{step}.json"
  return json.loads(storage.read_text(path)) if storage.exists(path) else None


def machine() -> str:
  """What this process computes on, and how, in words."""
  device = jax.devices()[0]
  told = f"{jax.device_count()} {device.device_kind}"
  if device.platform == "cpu":
    told = f"{os.cpu_count()} cores of {platform.machine()}"
  if precision := jax.config.jax_default_matmul_precision:
    told += f" (products of matrices in precision {precision})"
  return f"{told} with jax {jax.__version__}"


def machines() -> list[str]:
  """Those of the runs, as far as runs noted them."""
  notes = [
    folder(name, seed) / _MACHINE
    for name in study().ROWS
    for seed in range(_SEEDS.value)
  ]
  return sorted({storage.read_text(n) for n in notes if storage.exists(n)})


def run(name: str, seed: int) -> None:
  """Trains and tests, as far as that has not been done."""
  config, workdir = create_config(name, seed), folder(name, seed)
  steps = config.train.steps
  if read_metrics(workdir, steps) is None:
    print(f"== {name}, seed {seed}", flush=True)
    if hasattr(study(), "CACHED"):
      _run_teachers(config)
    if name in study().UNTRAINED:
      post_training.quantize_checkpoint(config, workdir)
    else:
      loop.train_and_evaluate(config, workdir)
    storage.write_text(workdir / _MACHINE, machine())
  if _RECORDED.value and read_metrics(workdir / "recorded", steps) is None:
    print(f"== {name}, seed {seed}: recorded walks", flush=True)
    config.data = config_lib.data("casiab", root=_RECORDED.value)
    config.eval.data = ConfigDict()
    config_lib.without_teachers(config)
    config.eval.checkpoint = str(workdir)
    evaluate.evaluate_checkpoint(config, workdir / "recorded")


def mean_rank1(metrics: Mapping[str, float]) -> float:
  """The mean over conditions."""
  return float(np.mean([metrics[f"{c}/rank1"] for c in ("NM", "BG", "CL")]))


def interval(values: np.ndarray) -> tuple[float, float]:
  """Mean and half of the 95 % interval of it; NaN for one value."""
  n = len(values)
  if n < 2:
    return float(values.mean()), float("nan")
  t = _T[min(n - 1, len(_T)) - 1]
  return float(values.mean()), float(t * values.std(ddof=1) / np.sqrt(n))


def difference(
  one: Mapping[int, float], other: Mapping[int, float]
) -> tuple[float, float]:
  """`interval` of the differences by seed; NaN where no seed is in both."""
  paired = [one[seed] - other[seed] for seed in one if seed in other]
  return interval(np.array(paired)) if paired else (np.nan, np.nan)


def collect(name: str, where: str) -> dict[int, float]:
  """Rank-1 by seed of the runs that are finished."""
  found = {}
  for seed in range(_SEEDS.value):
    steps = create_config(name, seed).train.steps
    result = read_metrics(folder(name, seed) / where, steps)
    if result is not None:
      found[seed] = mean_rank1(result)
  return found


def summary(where: str) -> dict[str, Row]:
  """The rows of one test, in the order of the study."""
  found = {name: collect(name, where) for name in study().ROWS}
  rows = {}
  for name, ranks in found.items():
    if not ranks:
      continue
    values = np.array(list(ranks.values()))
    gain, half = difference(ranks, found[study().COMPARED])
    rows[name] = Row(
      seeds=len(values),
      mean=values.mean(),
      spread=values.std(ddof=1) if len(values) > 1 else np.nan,
      gain=gain,
      half=half,
      further=tuple(difference(ranks, found[x]) for x in study().FURTHER),
    )
  return rows


def table(rows: Rows) -> str:
  """Markdown."""
  columns = {study().COMPARED: study().AGAINST, **study().FURTHER}
  lines = [
    f"| {study().HEAD} | seeds | Rank-1 | spread | "
    + " | ".join(columns.values())
    + " |",
    "|---|---|---|---|" + "---|" * len(columns),
  ]
  for name, row in rows.items():
    gains = [(row.gain, row.half), *row.further]
    cells = [
      "-" if name == other else f"{gain:+.2f} ± {half:.2f}"
      for other, (gain, half) in zip(columns, gains, strict=True)
    ]
    lines.append(
      f"| {name} | {row.seeds} | {row.mean:.2f} | {row.spread:.2f} | "
      + " | ".join(cells)
      + " |"
    )
  return "\n".join(lines).replace("nan", "-")


# Pixels of the plot: of the names, of a column, of a row, above the rows.
_LEFT, _WIDTH, _HEIGHT, _TOP = 210, 330, 22, 46


def plot(tests: Mapping[str, Rows], compared: str, against: str) -> str:
  """An SVG of the gains and their intervals, a column a test."""
  shown = [n for n in next(iter(tests.values())) if n != compared]
  gains = [
    max(map(abs, row.interval))
    for rows in tests.values()
    for name, row in rows.items()
    if name != compared and np.isfinite(row.gain)
  ]
  limit = 1.05 * max([1.0, *gains])
  width = _LEFT + _WIDTH * len(tests) + 20
  height = _TOP + _HEIGHT * len(shown) + 40
  parts = [
    f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
    f'height="{height}" font-family="sans-serif" font-size="12">',
    '<rect width="100%" height="100%" fill="white"/>',
  ]
  for i, name in enumerate(shown):
    y = _TOP + _HEIGHT * i + 15
    parts.append(
      f'<text x="{_LEFT - 8}" y="{y}" text-anchor="end">{name}</text>'
    )
  for i, (title, rows) in enumerate(tests.items()):
    middle = _LEFT + _WIDTH * i + _WIDTH / 2
    parts += _axis(title, middle, _TOP + _HEIGHT * len(shown), limit, against)
    parts += _intervals([rows.get(name) for name in shown], middle, limit)
  return "\n".join([*parts, "</svg>"]) + "\n"


def _x(value: float, middle: float, limit: float) -> float:
  """The place of a gain in the column around `middle`."""
  return middle + value / limit * (_WIDTH / 2 - 14)


def _axis(
  title: str, middle: float, bottom: int, limit: float, against: str
) -> list[str]:
  """The frame of a column: its title, the line of no gain, ticks, a label."""
  parts = [
    f'<text x="{middle}" y="20" text-anchor="middle" font-weight="bold">'
    f"{title}</text>",
    f'<line x1="{middle}" x2="{middle}" y1="{_TOP - 10}" y2="{bottom}" '
    'stroke="#888"/>',
    f'<text x="{middle}" y="{bottom + 28}" text-anchor="middle">Rank-1 '
    f"{against} (points)</text>",
  ]
  tick = 10 if limit > 12 else 5 if limit > 6 else 1
  for value in np.arange(-limit // tick * tick + tick, limit, tick):
    parts.append(
      f'<text x="{_x(value, middle, limit):.1f}" y="{bottom + 13}" '
      f'text-anchor="middle" fill="#666">{value:+.0f}</text>'
    )
  return parts


def _intervals(
  rows: Sequence[Row | None], middle: float, limit: float
) -> list[str]:
  """A dot and a line a row: green above zero, red below, else grey."""
  parts = []
  for i, row in enumerate(rows):
    if row is None or not np.isfinite(row.gain):
      continue
    y = _TOP + _HEIGHT * i + 11
    low, high = row.interval
    colour = "#1a7f37" if low > 0 else "#cf222e" if high < 0 else "#57606a"
    parts += [
      f'<line x1="{_x(low, middle, limit):.1f}" y1="{y}" '
      f'x2="{_x(high, middle, limit):.1f}" y2="{y}" stroke="{colour}" '
      'stroke-width="2"/>',
      f'<circle cx="{_x(row.gain, middle, limit):.1f}" cy="{y}" r="4" '
      f'fill="{colour}"/>',
    ]
  return parts


def report() -> None:
  """Writes table and plot of what is finished."""
  tests = {"test walkers": summary("")}
  recorded = summary("recorded")
  if recorded:
    tests["recorded walks"] = recorded
  if not tests["test walkers"]:
    raise errors.UserError(f"no run of {_WORKDIR.value} is finished")
  text = _introduction(bool(recorded))
  for title, rows in tests.items():
    text += ["", f"## {title[0].upper()}{title[1:]}", "", table(rows)]
  docs = storage.on_disk(_DOCS.value, "--docs")
  docs.mkdir(parents=True, exist_ok=True)
  page = study().DOCS
  notes = docs / f"{page}_notes.md"
  if notes.exists():
    text += ["", notes.read_text().rstrip()]
  (docs / f"{page}.md").write_text("\n".join(text) + "\n")
  (docs / f"{page}.svg").write_text(
    plot(tests, study().COMPARED, study().AGAINST)
  )
  print("\n".join(text))
  print(f"written: {docs / page}.md, {docs / page}.svg")


def _introduction(recorded: bool) -> list[str]:
  program = "scripts/study.py"
  if recorded:
    program += " --recorded=<recorded walks>"
  told = "" if _STUDY.value == "objectives" else f" --study={_STUDY.value}"
  if _STEPS.value:
    told += f" --steps={_STEPS.value}"
  steps = create_config(study().COMPARED, 0).train.steps
  where = " and ".join(machines()) or "machines that no run noted"
  return [
    f"# {study().TITLE}",
    "",
    f"`python {program} --seeds={_SEEDS.value}{told}`: "
    f"{study().STUDENT}, {steps} steps each, on {where}.",
    "Rank-1 (%) without identical views, the mean over NM, BG and CL; spread "
    "is the standard deviation over seeds; differences are means, paired by "
    "seed, with their 95 % interval.",
    "",
    f"![gains and their intervals]({study().DOCS}.svg)",
  ]


def main(argv: list[str]) -> None:
  """Runs this part of the study, or reports."""
  del argv
  rows = study().ROWS
  names = _ROWS.value or list(rows)
  for name in names:
    if name not in rows:
      raise errors.UserError(
        f"--rows has {name!r}; give some of {', '.join(rows)}"
      )
  try:
    part, parts = map(int, _PART.value.split("/"))
  except ValueError:
    part, parts = 0, 0
  if not 0 <= part < parts:
    raise errors.UserError(f"--part is {_PART.value}; give 0/2 and 1/2, say")
  # Seeds of a row are the same programs.
  jax.config.update(
    "jax_compilation_cache_dir",
    str(storage.absolute(_WORKDIR.value) / "compiled"),
  )
  if not _REPORT.value:
    # Seed by seed, so that a study that is stopped early has whole pairs.
    runs = [(name, seed) for seed in range(_SEEDS.value) for name in names]
    for name, seed in runs[part::parts]:
      run(name, seed)
  if _REPORT.value or parts == 1:
    report()


if __name__ == "__main__":
  cli.run(main)
