"""Trains the rows of a study by several seeds; writes a table and a plot.

python scripts/study.py --workdir=runs/study --seeds=5 \
  --recorded=<recorded walks>
python scripts/study.py --study=quantisation --workdir=runs/quantisation
python scripts/study.py --study=teaching --workdir=runs/teaching --seeds=5 \
  --steps=100,400,1600
python scripts/study.py --workdir=runs/study --seeds=5 --part=0/2 &
python scripts/study.py --workdir=runs/study --seeds=5 --part=1/2 & wait
python scripts/study.py --workdir=runs/study --seeds=5 --report

On the embedded data; --study names a file of scripts/studies/, which has a
config for every row: objectives (the default), teaching, teaching_wide,
teaching_deepgaitv2, teaching_search, quantisation, or quantisation_wide. Every
run is a workdir of its own; what is finished is not done again, and what was
stopped goes on. The table (docs/study.md, or docs/study_<study>.md) gives the
mean of Rank-1 over conditions, its standard deviation over seeds, and the
difference from the row that all are compared with, paired by seed, with its
95 % interval (Student's t); the plot is an SVG beside it, and with several
lengths of training in --steps another one has Rank-1 over steps. --recorded
adds a test on recorded walks in CASIA-B's layout, which no network was trained
on. A study whose teachers are the same in all rows runs them once a seed, over
as many clips as a run draws.
--part=i/n takes every n-th run, for n processes side by side. Every run notes
its machine, and the report names them.
"""

from collections.abc import Mapping
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
import study_plots
import study_rows

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
_STEPS = flags.DEFINE_list(
  "steps", [], "of a run; several for curves; empty: the config's"
)
_RECORDED = flags.DEFINE_string("recorded", "", "folder of recorded walks")
_PART = flags.DEFINE_string("part", "0/1", "i/n: every n-th run from i")
_REPORT = flags.DEFINE_bool("report", False, "only write table and plot")
_DOCS = flags.DEFINE_string("docs", "docs", "where table and plot go")
_SMOKE = flags.DEFINE_bool("smoke", False, "short runs on few walkers, to try")
_MACHINE = "machine.txt"  # in a run's workdir
_STUDIES = pathlib.Path(__file__).resolve().parent / "studies"


@functools.cache
def load_study(name: str) -> ModuleType:
  """The file of a study.

  It has `ROWS`, functions by name that make a config, given how to find the
  folder of another row's run by the same seed; `COMPARED`, the row that the
  others are compared with; `HEAD` and `AGAINST`, the heads of its column and of
  the differences; `FURTHER`, heads by row of further differences; `UNTRAINED`,
  the rows that are only quantised; `TITLE`; `STUDENT`, what is trained; `DOCS`,
  its page; and, if there is any, `CURVES`, rows that are drawn over steps, and
  `CACHED`, how many batches of clips the training split holds: the teachers are
  then run once a seed.
  """
  path = _STUDIES / f"{name}.py"
  if not path.exists():
    known = ", ".join(sorted(p.stem for p in _STUDIES.glob("*.py")))
    raise errors.UserError(f"--study is {name}; give one of {known}")
  return config_lib.load_module(path)


def study() -> ModuleType:
  """That of --study."""
  return load_study(_STUDY.value)


def lengths() -> list[int]:
  """Steps of the runs, rising; 0 stands for the config's.

  Raises:
    errors.UserError: --steps has what is no number of steps.
  """
  try:
    found = sorted({int(steps) for steps in _STEPS.value})
  except ValueError:
    found = [0]
  if _STEPS.value and found[0] < 1:
    raise errors.UserError(
      f"--steps is {','.join(_STEPS.value)}; give 100, or 100,400,1600, say"
    )
  return found or [0]


def create_config(name: str, seed: int, steps: int) -> ConfigDict:
  """The config of a run; 0 steps are those of the row."""
  c = study().ROWS[name](lambda other: str(folder(other, seed, steps)))
  c.seed = seed
  if _SMOKE.value:
    start = c.train.init_from
    config_lib.smoke(c)
    c.train.init_from = start
  c.train.steps = steps or c.train.steps
  if batches := getattr(study(), "CACHED", 0):
    c.cache.views = -(-c.train.steps // batches)
    for teacher in c.teachers:
      stores = _place(steps) / "teachers" / str(seed)
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


def _place(steps: int) -> storage.Path:
  """Where the runs of one length lie."""
  workdir = storage.path(_WORKDIR.value)
  return workdir / f"steps_{steps}" if steps else workdir


def folder(name: str, seed: int, steps: int) -> storage.Path:
  """Where a run lies."""
  letters = "".join(ch if ch.isalnum() else "_" for ch in name.lower())
  return _place(steps) / letters / str(seed)


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
    folder(name, seed, steps) / _MACHINE
    for steps in lengths()
    for name in study().ROWS
    for seed in range(_SEEDS.value)
  ]
  return sorted({storage.read_text(n) for n in notes if storage.exists(n)})


def run(name: str, seed: int, steps: int) -> None:
  """Trains and tests, as far as that has not been done."""
  config = create_config(name, seed, steps)
  workdir, steps = folder(name, seed, steps), config.train.steps
  if read_metrics(workdir, steps) is None:
    print(f"== {name}, seed {seed}, {steps} steps", flush=True)
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


def collect(name: str, where: str, steps: int) -> dict[int, float]:
  """Rank-1 by seed of the runs that are finished."""
  found = {}
  for seed in range(_SEEDS.value):
    done = create_config(name, seed, steps).train.steps
    result = read_metrics(folder(name, seed, steps) / where, done)
    if result is not None:
      found[seed] = mean_rank1(result)
  return found


def summary(where: str, steps: int) -> study_rows.Rows:
  """The rows of one test, in the order of the study."""
  found = {name: collect(name, where, steps) for name in study().ROWS}
  others = [found[name] for name in (study().COMPARED, *study().FURTHER)]
  return {
    name: study_rows.create_row(ranks, *others)
    for name, ranks in found.items()
    if ranks
  }


def curves(rows: Mapping[int, study_rows.Rows]) -> dict[str, study_plots.Curve]:
  """Means and halves of their intervals over steps, of `CURVES`."""
  found = {}
  for name in getattr(study(), "CURVES", ()):
    steps = [n for n in rows if name in rows[n] and rows[n][name].seeds > 1]
    shown = [rows[n][name] for n in steps]
    found[name] = (steps, [r.mean for r in shown], [r.error for r in shown])
  return {name: curve for name, curve in found.items() if curve[0]}


def report() -> None:
  """Writes table and plots of what is finished."""
  tests = {
    test: {n: rows for n in lengths() if (rows := summary(where, n))}
    for test, where in (("test walkers", ""), ("recorded walks", "recorded"))
  }
  tests = {test: rows for test, rows in tests.items() if rows}
  if "test walkers" not in tests:
    raise errors.UserError(f"no run of {_WORKDIR.value} is finished")
  several = len(lengths()) > 1
  titled = {
    test + (f", {n} steps" if several else ""): rows
    for test, found in tests.items()
    for n, rows in found.items()
  }
  docs = storage.on_disk(_DOCS.value, "--docs")
  docs.mkdir(parents=True, exist_ok=True)
  page = study().DOCS
  plots = {page: study_plots.gains(titled, study().COMPARED, study().AGAINST)}
  text = _introduction("recorded walks" in tests)
  drawn = {test: curves(found) for test, found in tests.items()}
  if several and all(drawn.values()):
    text += ["", f"![Rank-1 over steps]({page}_steps.svg)"]
    plots[f"{page}_steps"] = study_plots.over_steps(drawn)
  columns = {study().COMPARED: study().AGAINST, **study().FURTHER}
  for title, rows in titled.items():
    text += ["", f"## {title[0].upper()}{title[1:]}", ""]
    text.append(study_rows.table(rows, study().HEAD, columns))
  notes = docs / f"{page}_notes.md"
  if notes.exists():
    text += ["", notes.read_text().rstrip()]
  (docs / f"{page}.md").write_text("\n".join(text) + "\n")
  for name, plot in plots.items():
    (docs / f"{name}.svg").write_text(plot)
  print("\n".join(text))
  print(f"written: {docs / page}.md, " + ", ".join(f"{n}.svg" for n in plots))


def _introduction(recorded: bool) -> list[str]:
  program = "scripts/study.py"
  if recorded:
    program += " --recorded=<recorded walks>"
  told = "" if _STUDY.value == "objectives" else f" --study={_STUDY.value}"
  if _STEPS.value:
    told += f" --steps={','.join(map(str, lengths()))}"
  configs = [create_config(study().COMPARED, 0, n) for n in lengths()]
  steps = " or ".join(str(c.train.steps) for c in configs)
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
    runs = [
      (name, seed, steps)
      for steps in lengths()
      for seed in range(_SEEDS.value)
      for name in names
    ]
    for chosen in runs[part::parts]:
      run(*chosen)
  if _REPORT.value or parts == 1:
    report()


if __name__ == "__main__":
  cli.run(main)
