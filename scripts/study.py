"""Trains a list of objectives by several seeds; writes a table and a plot.

python scripts/study.py --workdir=runs/study --seeds=5 \
  --recorded=<recorded walks>
python scripts/study.py --workdir=runs/study --seeds=5 --part=0/2 &
python scripts/study.py --workdir=runs/study --seeds=5 --part=1/2 & wait
python scripts/study.py --workdir=runs/study --seeds=5 --report

On the embedded data, with the student and the teachers of configs/distill.
Every run is a workdir of its own; what is finished is not done again, and what
was stopped goes on. The table (docs/study.md) gives the mean of Rank-1 over
conditions, its standard deviation over seeds, and the difference from the
student alone, paired by seed, with its 95 % interval (Student's t); the plot is
docs/study.svg. --recorded adds a test on recorded walks in CASIA-B's layout,
which no network was trained on. --part=i/n takes every n-th run, for n
processes side by side.
"""

from collections.abc import Mapping
import dataclasses
import importlib.util
import json
import os
import pathlib
import platform
from typing import Any

from absl import flags
import jax
from ml_collections import ConfigDict
import numpy as np

from gaitkd_jax import cli
from gaitkd_jax import config as config_lib
from gaitkd_jax import errors
from gaitkd_jax.evaluation import evaluate
from gaitkd_jax.training import loop

_WORKDIR = flags.DEFINE_string("workdir", "runs/study", "results")
_SEEDS = flags.DEFINE_integer("seeds", 3, "of every row", lower_bound=1)
_ROWS = flags.DEFINE_list("rows", [], "some of them; empty for all")
_STEPS = flags.DEFINE_integer("steps", 0, "of a run; 0: the config's")
_RECORDED = flags.DEFINE_string("recorded", "", "folder of recorded walks")
_PART = flags.DEFINE_string("part", "0/1", "i/n: every n-th run from i")
_REPORT = flags.DEFINE_bool("report", False, "only write table and plot")
_DOCS = flags.DEFINE_string("docs", "docs", "where table and plot go")
_SMOKE = flags.DEFINE_bool("smoke", False, "short runs on few walkers, to try")
_ROOT = pathlib.Path(__file__).resolve().parent.parent
_ALONE = "student alone"
# Student's t at 97.5 %, by degrees of freedom from 1.
_T = (12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


@dataclasses.dataclass(frozen=True)
class Row:
  """A config and what is changed in it."""

  config: str
  changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def _teacher(**values: Any) -> dict[str, Any]:
  return {f"teachers.deepgaitv2.{k}": v for k, v in values.items()}


def _two(**values: Any) -> Row:
  return Row(
    "distill/gaitkd_two_teachers",
    {f"distillation.{k}": v for k, v in values.items()},
  )


ROWS: Mapping[str, Row] = {
  _ALONE: Row("walkers_baseline"),
  "GaitKD": Row("distill/gaitkd"),
  "decision only": Row("distill/gaitkd", _teacher(boundary_weight=0.0)),
  "boundary only": Row("distill/gaitkd", _teacher(decision_weight=0.0)),
  "decision + feature MSE": Row(
    "distill/feature_mse", _teacher(decision_weight=1.0)
  ),
  "two teachers, sum": _two(decision="sum"),
  "two teachers, mean": _two(decision="mean"),
  "two teachers, mean + vote": _two(decision="mean", boundary="vote"),
  "temperature 1": Row("distill/gaitkd", _teacher(temperature=1.0)),
  "temperature 2": Row("distill/gaitkd", _teacher(temperature=2.0)),
  "temperature 8": Row("distill/gaitkd", _teacher(temperature=8.0)),
  "boundary weight 0.0003": Row(
    "distill/gaitkd", _teacher(boundary_weight=0.0003)
  ),
  "boundary weight 0.01": Row("distill/gaitkd", _teacher(boundary_weight=0.01)),
  "boundary weight 0.03": Row("distill/gaitkd", _teacher(boundary_weight=0.03)),
  "feature MSE": Row("distill/feature_mse"),
  "plain KD": Row("distill/kd"),
  "DKD": Row("distill/dkd"),
  "GDKD": Row("distill/gdkd"),
  "OFA": Row("distill/ofa"),
  "DIST": Row("distill/dist"),
  "RKD": Row("distill/rkd"),
  "instance + relation bank": Row("distill/instance_relation"),
  "patch swap (no teacher)": Row("distill/patch_swap"),
}


def create_config(row: Row, seed: int) -> ConfigDict:
  """The config of a run."""
  path = _ROOT / "configs" / f"{row.config}.py"
  spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  c = module.get_config()
  for key, value in row.changes.items():
    *sections, last = key.split(".")
    section = c
    for name in sections:
      section = section[name]
    section[last] = value
  c.seed = seed
  if _SMOKE.value:
    config_lib.smoke(c)
  c.train.steps = _STEPS.value or c.train.steps
  return c


def folder(name: str, seed: int) -> pathlib.Path:
  """Where a run lies."""
  letters = "".join(ch if ch.isalnum() else "_" for ch in name.lower())
  return pathlib.Path(_WORKDIR.value) / letters / str(seed)


def figures(workdir: pathlib.Path, step: int) -> dict[str, float] | None:
  """What a finished evaluation found, or None."""
  path = workdir / "eval" / f"{step}.json"
  return json.loads(path.read_text()) if path.exists() else None


def run(name: str, seed: int) -> None:
  """Trains and tests, as far as that has not been done."""
  config, workdir = create_config(ROWS[name], seed), folder(name, seed)
  steps = config.train.steps
  if figures(workdir, steps) is None:
    print(f"== {name}, seed {seed}", flush=True)
    loop.train_and_evaluate(config, workdir)
  if _RECORDED.value and figures(workdir / "recorded", steps) is None:
    print(f"== {name}, seed {seed}: recorded walks", flush=True)
    config.data = config_lib.data("casiab", root=_RECORDED.value)
    config.eval.data = ConfigDict()
    config.teachers, config.terms = ConfigDict(), ConfigDict()
    config.eval.checkpoint = str(workdir)
    evaluate.evaluate_checkpoint(config, workdir / "recorded")


def mean_rank1(found: Mapping[str, float]) -> float:
  """The mean over conditions."""
  return float(np.mean([found[f"{c}/rank1"] for c in ("NM", "BG", "CL")]))


def interval(values: np.ndarray) -> tuple[float, float]:
  """Mean and half of the 95 % interval of it; NaN for one value."""
  n = len(values)
  if n < 2:
    return float(values.mean()), float("nan")
  t = _T[min(n - 1, len(_T)) - 1]
  return float(values.mean()), float(t * values.std(ddof=1) / np.sqrt(n))


def collect(name: str, where: str) -> dict[int, float]:
  """Rank-1 by seed of the runs that are finished."""
  found = {}
  for seed in range(_SEEDS.value):
    steps = create_config(ROWS[name], seed).train.steps
    result = figures(folder(name, seed) / where, steps)
    if result is not None:
      found[seed] = mean_rank1(result)
  return found


def summary(where: str) -> dict[str, dict[str, Any]]:
  """Everything that table and plot show of one test."""
  alone, rows = collect(_ALONE, where), {}
  for name in ROWS:
    found = collect(name, where)
    if not found:
      continue
    values = np.array(list(found.values()))
    paired = [found[s] - alone[s] for s in found if s in alone]
    gain, half = interval(np.array(paired)) if paired else (np.nan, np.nan)
    rows[name] = dict(
      seeds=len(values),
      mean=values.mean(),
      spread=values.std(ddof=1) if len(values) > 1 else np.nan,
      gain=gain,
      half=half,
    )
  return rows


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
  """Markdown."""
  lines = [
    "| objective | seeds | Rank-1 | spread | against the student alone |",
    "|---|---|---|---|---|",
  ]
  for name, row in rows.items():
    gain = f"{row['gain']:+.2f} ± {row['half']:.2f}"
    lines.append(
      f"| {name} | {row['seeds']} | {row['mean']:.2f} | {row['spread']:.2f} | "
      + ("- |" if name == _ALONE else f"{gain} |")
    )
  return "\n".join(lines).replace("nan", "-")


def plot(tests: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
  """An SVG of the gains and their intervals, a column of rows a test."""
  shown = [n for n in next(iter(tests.values())) if n != _ALONE]
  left, width, height, top = 210, 330, 22, 46
  gains = [
    abs(r["gain"]) + (r["half"] if np.isfinite(r["half"]) else 0.0)
    for rows in tests.values()
    for n, r in rows.items()
    if n != _ALONE and np.isfinite(r["gain"])
  ]
  reach = 1.05 * max([1.0, *gains])
  total = left + width * len(tests) + 20, top + height * len(shown) + 40
  parts = [
    f'<svg xmlns="http://www.w3.org/2000/svg" width="{total[0]}" '
    f'height="{total[1]}" font-family="sans-serif" font-size="12">',
    '<rect width="100%" height="100%" fill="white"/>',
  ]
  for i, name in enumerate(shown):
    y = top + height * i + 15
    parts.append(
      f'<text x="{left - 8}" y="{y}" text-anchor="end">{name}</text>'
    )
  for k, (title, rows) in enumerate(tests.items()):
    x0 = left + width * k
    middle = x0 + width / 2

    def at(value, middle=middle):
      return middle + value / reach * (width / 2 - 14)

    bottom = top + height * len(shown)
    parts += [
      f'<text x="{middle}" y="20" text-anchor="middle" font-weight="bold">'
      f"{title}</text>",
      f'<line x1="{middle}" x2="{middle}" y1="{top - 10}" y2="{bottom}" '
      'stroke="#888"/>',
      f'<text x="{middle}" y="{bottom + 28}" text-anchor="middle">Rank-1 '
      "against the student alone (points)</text>",
    ]
    tick = 10 if reach > 12 else 5 if reach > 6 else 1
    for value in np.arange(-reach // tick * tick + tick, reach, tick):
      parts.append(
        f'<text x="{at(value):.1f}" y="{bottom + 13}" text-anchor="middle" '
        f'fill="#666">{value:+.0f}</text>'
      )
    for i, name in enumerate(shown):
      row, y = rows.get(name), top + height * i + 11
      if row is None or not np.isfinite(row["gain"]):
        continue
      half = row["half"] if np.isfinite(row["half"]) else 0.0
      colour = "#1a7f37" if row["gain"] - half > 0 else "#57606a"
      colour = "#cf222e" if row["gain"] + half < 0 else colour
      parts += [
        f'<line x1="{at(row["gain"] - half):.1f}" y1="{y}" '
        f'x2="{at(row["gain"] + half):.1f}" y2="{y}" stroke="{colour}" '
        'stroke-width="2"/>',
        f'<circle cx="{at(row["gain"]):.1f}" cy="{y}" r="4" fill="{colour}"/>',
      ]
  return "\n".join([*parts, "</svg>"]) + "\n"


def report() -> None:
  """Writes table and plot of what is finished."""
  tests = {"test walkers": summary("")}
  recorded = summary("recorded")
  if recorded:
    tests["recorded walks"] = recorded
  if not tests["test walkers"]:
    raise errors.UserError(f"no run of {_WORKDIR.value} is finished")
  steps = create_config(ROWS[_ALONE], 0).train.steps
  text = [
    "# What each objective is worth on the embedded data",
    "",
    f"`python scripts/study.py --seeds={_SEEDS.value}"
    + (f" --steps={_STEPS.value}" if _STEPS.value else "")
    + "`: a narrow GaitBase (46,408 parameters), "
    f"{steps} steps each, on {os.cpu_count()} cores of {platform.machine()} "
    f"with jax {jax.__version__}.",
    "Rank-1 (%) without identical views, the mean over NM, BG and CL; spread "
    "is the standard deviation over seeds; the last column is the mean "
    "difference, paired by seed, with its 95 % interval.",
    "",
    "![gains and their intervals](study.svg)",
  ]
  for title, rows in tests.items():
    text += ["", f"## {title[0].upper()}{title[1:]}", "", table(rows)]
  docs = pathlib.Path(_DOCS.value)
  docs.mkdir(parents=True, exist_ok=True)
  notes = docs / "study_notes.md"
  if notes.exists():
    text += ["", notes.read_text().rstrip()]
  (docs / "study.md").write_text("\n".join(text) + "\n")
  (docs / "study.svg").write_text(plot(tests))
  print("\n".join(text))
  print(f"written: {docs / 'study.md'}, {docs / 'study.svg'}")


def main(argv: list[str]) -> None:
  """Runs this part of the study, or reports."""
  del argv
  names = _ROWS.value or list(ROWS)
  for name in names:
    if name not in ROWS:
      raise errors.UserError(
        f"--rows has {name!r}; give some of {', '.join(ROWS)}"
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
    str(pathlib.Path(_WORKDIR.value).resolve() / "compiled"),
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
