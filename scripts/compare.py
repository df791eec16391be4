"""Trains the embedded student with and without its teacher; prints a table.

For each seed: `configs/walkers.py` (GaitKD) and `configs/walkers_baseline.py`
(the same student alone), scored with the teacher on the test walkers. Finished
runs in the workdir are not trained again.

python scripts/compare.py --workdir=runs/quickstart
python scripts/compare.py --workdir=runs/compare --seeds=3
"""

import importlib.util
import os
import pathlib
import time

from absl import flags
import numpy as np

from data_pipelines import datasets
from gaitkd_jax import cli
from gaitkd_jax import config as config_lib
from gaitkd_jax import cost
from gaitkd_jax import models
from gaitkd_jax.evaluation import evaluate
from gaitkd_jax.training import loop

_WORKDIR = flags.DEFINE_string("workdir", "runs/quickstart", "results")
_SEEDS = flags.DEFINE_integer(
  "seeds", 1, "training runs of each student", lower_bound=1
)
_STEPS = flags.DEFINE_integer("steps", 0, "steps of each run; 0: the config's")
_VARIANT = flags.DEFINE_string("variant", "", "of the configs, e.g. smoke")
_CONFIGS = pathlib.Path(__file__).resolve().parent.parent / "configs"
_COLUMNS = ("NM", "BG", "CL", "mean")


def load(name: str):
  """Returns the config of a file in configs/."""
  spec = importlib.util.spec_from_file_location(name, _CONFIGS / f"{name}.py")
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.get_config(_VARIANT.value)


def train_student(name: str, seed: int) -> tuple[np.ndarray, float]:
  """Returns Rank-1 by column, and seconds."""
  config = load(name)
  config.seed = seed
  if _STEPS.value:
    config.train.steps = _STEPS.value
  print(f"== {name}, seed {seed}", flush=True)
  start = time.monotonic()
  results = loop.train_and_evaluate(
    config, os.path.join(_WORKDIR.value, f"{name}_{seed}")
  )
  seconds = time.monotonic() - start
  return np.array([results[f"{c}/rank1"] for c in _COLUMNS]), seconds


def score_teacher() -> tuple[np.ndarray, float] | None:
  """Returns Rank-1 of the teacher by column, and seconds; None if untrained."""
  config = load("walkers")
  teacher = config.teachers.deepgaitv2
  if teacher.checkpoint == config_lib.RANDOM:
    return None
  config.model, config.eval.checkpoint = teacher.model, teacher.checkpoint
  print("== teacher", flush=True)
  start = time.monotonic()
  results = evaluate.evaluate_checkpoint(
    config, os.path.join(_WORKDIR.value, "teacher")
  )
  seconds = time.monotonic() - start
  return np.array([results[f"{c}/rank1"] for c in _COLUMNS]), seconds


def row(name: str, model, runs: list[tuple[np.ndarray, float]]) -> str:
  """One line of the table; with several runs, mean and standard deviation."""
  module = models.create_model(model)
  params = models.abstract_variables(module)["params"]
  figures = np.stack([rank1 for rank1, _ in runs])
  cells = [f"{mean:.2f}" for mean in figures.mean(0)]
  if len(runs) > 1:
    spread = figures.std(0, ddof=1)
    cells = [f"{c} ±{sd:.2f}" for c, sd in zip(cells, spread, strict=True)]
  cells += [
    f"{cost.inference_parameters(params):,}",
    f"{cost.gmac_per_frame(module):.4f}",
    f"{np.mean([seconds for _, seconds in runs]):.0f}",
  ]
  return f"| {name:<19} | " + " | ".join(f"{c:>10}" for c in cells) + " |"


def main(argv: list[str]) -> None:
  """Runs everything and prints the table."""
  del argv
  start = time.monotonic()
  config = load("walkers")
  print("== walkers", flush=True)
  datasets.prepare(config.data)
  seeds = range(_SEEDS.value)
  taught = [train_student("walkers", seed) for seed in seeds]
  alone = [train_student("walkers_baseline", seed) for seed in seeds]
  teacher = score_teacher()
  many = len(seeds) > 1
  print(
    "\nRank-1 (%) on the test walkers without identical views"
    + (f"; mean ± standard deviation of {len(seeds)} seeds" if many else "")
  )
  columns = (*_COLUMNS, "parameters", "GMAC/frame", "seconds")
  print(f"| {'':<19} | " + " | ".join(f"{c:>10}" for c in columns) + " |")
  print("|" + "---|" * (len(columns) + 1))
  print(row("student", config.model, alone))
  print(row("student with GaitKD", config.model, taught))
  if teacher:
    print(
      row("teacher (test only)", config.teachers.deepgaitv2.model, [teacher])
    )
  if many:
    gain = np.stack([a[0] - b[0] for a, b in zip(taught, alone, strict=True)])
    print(
      "gain of GaitKD, paired by seed: "
      + ", ".join(
        f"{name} {mean:+.2f} ±{sd:.2f}"
        for name, mean, sd in zip(
          _COLUMNS, gain.mean(0), gain.std(0, ddof=1), strict=True
        )
      )
    )
  print(
    "parameters: at inference; seconds: training and test, of a finished run "
    f"the test only.\nFiles: {os.path.abspath(_WORKDIR.value)} "
    f"({time.monotonic() - start:.0f} s in all)"
  )


if __name__ == "__main__":
  cli.run(main)
