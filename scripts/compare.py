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

from gaitkd_jax import cli
from gaitkd_jax import cost
from gaitkd_jax import evaluate
from gaitkd_jax import models
from gaitkd_jax import train

_WORKDIR = flags.DEFINE_string("workdir", "runs/quickstart", "results")
_SEEDS = flags.DEFINE_integer("seeds", 1, "training runs of each student")
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
  results = train.train_and_evaluate(
    config, os.path.join(_WORKDIR.value, f"{name}_{seed}")
  )
  seconds = time.monotonic() - start
  return np.array([results[f"{c}/rank1"] for c in _COLUMNS]), seconds


def score_teacher() -> tuple[np.ndarray, float]:
  """Returns Rank-1 of the shipped teacher by column, and seconds."""
  config = load("walkers")
  teacher = config.teachers.deepgaitv2
  config.model, config.eval.checkpoint = teacher.model, teacher.checkpoint
  print("== teacher", flush=True)
  start = time.monotonic()
  results = evaluate.evaluate_checkpoint(
    config, os.path.join(_WORKDIR.value, "teacher")
  )
  seconds = time.monotonic() - start
  return np.array([results[f"{c}/rank1"] for c in _COLUMNS]), seconds


def row(name: str, config, figures: np.ndarray, seconds: float) -> str:
  """One line of the table; figures are `[seeds, columns]`."""
  module = models.create_model(config)
  params = evaluate.abstract_variables(module, load("walkers"))["params"]
  cells = [
    f"{mean:6.2f}" + (f" ±{sd:5.2f}" if len(figures) > 1 else "")
    for mean, sd in zip(
      figures.mean(0), figures.std(0, ddof=len(figures) > 1), strict=True
    )
  ]
  return (
    f"| {name:<19} | {' | '.join(cells)} | "
    f"{cost.inference_parameters(params):>9,} | "
    f"{cost.gmac_per_frame(module):6.4f} | {seconds:5.0f} |"
  )


def main(argv: list[str]) -> None:
  """Runs everything and prints the table."""
  del argv
  start = time.monotonic()
  config = load("walkers")
  seeds = range(_SEEDS.value)
  runs = {
    name: [train_student(name, seed) for seed in seeds]
    for name in ("walkers", "walkers_baseline")
  }
  kd, alone = (np.stack([r[0] for r in runs[n]]) for n in runs)
  kd_time, alone_time = (np.mean([r[1] for r in runs[n]]) for n in runs)
  teacher, teacher_time = score_teacher()
  print(
    "\nRank-1 (%) on the test walkers without identical views; "
    f"{_SEEDS.value} seed(s), mean"
    + (" ± standard deviation" if _SEEDS.value > 1 else "")
  )
  width = 13 if _SEEDS.value > 1 else 6
  print(
    f"| {'':<19} | "
    + " | ".join(f"{c:>{width}}" for c in _COLUMNS)
    + " | parameters | GMAC/frame | seconds |"
  )
  print("|---" * (len(_COLUMNS) + 4) + "|")
  print(row("student", config.model, alone, alone_time))
  print(row("student with GaitKD", config.model, kd, kd_time))
  print(
    row(
      "teacher (test only)",
      config.teachers.deepgaitv2.model,
      teacher[None],
      teacher_time,
    )
  )
  if _SEEDS.value > 1:
    gain = kd - alone
    print(
      "gain of GaitKD, paired by seed: "
      + ", ".join(
        f"{c} {m:+.2f} ±{s:.2f}"
        for c, m, s in zip(
          _COLUMNS, gain.mean(0), gain.std(0, ddof=1), strict=True
        )
      )
    )
  print(
    f"\nparameters: at inference. Files: {os.path.abspath(_WORKDIR.value)} "
    f"({time.monotonic() - start:.0f} s in all)"
  )


if __name__ == "__main__":
  cli.run(main)
