r"""Trains the embedded student with and without its teacher; prints a table.

For each seed: `configs/walkers.py` (GaitKD) and `configs/walkers_baseline.py`
(the same student alone), scored with the teacher on the test walkers. Finished
runs in the workdir are not trained again.

python scripts/compare.py --workdir=runs/quickstart
python scripts/compare.py --workdir=runs/compare --seeds=3
python scripts/compare.py --workdir=runs/narrow --seeds=3 --steps=100 \
  --dtype=bfloat16
"""

from collections.abc import Mapping
import os
import pathlib
import time
from typing import NamedTuple

from absl import flags
import jax
from ml_collections import ConfigDict
import numpy as np

from data_pipelines import datasets
from gaitkd_jax import cli
from gaitkd_jax import config as config_lib
from gaitkd_jax import cost
from gaitkd_jax import models
from gaitkd_jax import storage
from gaitkd_jax import workdir as workdir_lib
from gaitkd_jax.evaluation import evaluate
from gaitkd_jax.training import loop

_WORKDIR = flags.DEFINE_string("workdir", "runs/quickstart", "results")
_SEEDS = flags.DEFINE_integer(
  "seeds", 1, "training runs of each student", lower_bound=1
)
_STEPS = flags.DEFINE_integer("steps", 0, "steps of each run; 0: the config's")
_DTYPE = flags.DEFINE_enum(
  "dtype", None, ["float32", "bfloat16"], "of all networks; else the config's"
)
_VARIANT = flags.DEFINE_string("variant", "", "of the configs, e.g. smoke")
_CONFIGS = pathlib.Path(__file__).resolve().parent.parent / "configs"
_COLUMNS = ("NM", "BG", "CL", "mean")


class Run(NamedTuple):
  """A network that was tested: Rank-1 by column, and seconds."""

  rank1: np.ndarray
  seconds: float


def load(name: str) -> ConfigDict:
  """Returns the config of a file in configs/."""
  config = config_lib.load(_CONFIGS / f"{name}.py", _VARIANT.value)
  config.dtype = _DTYPE.value or config.dtype
  return config


def train_student(name: str, seed: int) -> Run:
  """Trains and tests the student of a config."""
  config = load(name)
  config.seed = seed
  if _STEPS.value:
    config.train.steps = _STEPS.value
  print(f"== {name}, seed {seed}", flush=True)
  start = time.monotonic()
  results = loop.train_and_evaluate(
    config, os.path.join(_WORKDIR.value, f"{name}_{seed}")
  )
  return Run(_rank1(results), time.monotonic() - start)


def score_teacher() -> Run | None:
  """Tests the shipped teacher; None where the variant has none."""
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
  return Run(_rank1(results), time.monotonic() - start)


def row(name: str, model: ConfigDict, runs: list[Run]) -> str:
  """One line of the table; of several runs, mean and standard deviation."""
  module = models.create_model(model)
  params = models.abstract_variables(module)["params"]
  rank1 = np.stack([run.rank1 for run in runs])
  cells = [f"{mean:.2f}" for mean in rank1.mean(0)]
  if len(runs) > 1:
    spread = rank1.std(0, ddof=1)
    cells = [f"{c} ±{sd:.2f}" for c, sd in zip(cells, spread, strict=True)]
  cells += [
    f"{cost.inference_parameters(params):,}",
    f"{cost.gmac_per_frame(module):.4f}",
    f"{np.mean([run.seconds for run in runs]):.0f}",
  ]
  return _line(name, cells)


def table(
  config: ConfigDict,
  alone: list[Run],
  distilled: list[Run],
  teacher: Run | None,
) -> list[str]:
  """Lines of the table, a row a network."""
  columns = [*_COLUMNS, "parameters", "GMAC/frame", "seconds"]
  rows = [
    row("student", config.model, alone),
    row("student with GaitKD", config.model, distilled),
  ]
  if teacher:
    model = config.teachers.deepgaitv2.model
    rows.append(row("teacher (test only)", model, [teacher]))
  return [_line("", columns), "|" + "---|" * (len(columns) + 1), *rows]


def gain(alone: list[Run], distilled: list[Run]) -> str:
  """What GaitKD adds by column: mean and standard deviation over seeds."""
  pairs = zip(alone, distilled, strict=True)
  gains = np.stack([after.rank1 - before.rank1 for before, after in pairs])
  return ", ".join(
    f"{name} {mean:+.2f} ±{sd:.2f}"
    for name, mean, sd in zip(
      _COLUMNS, gains.mean(0), gains.std(0, ddof=1), strict=True
    )
  )


def _rank1(results: Mapping[str, float]) -> np.ndarray:
  return np.array([results[f"{c}/rank1"] for c in _COLUMNS])


def _line(name: str, cells: list[str]) -> str:
  return f"| {name:<19} | " + " | ".join(f"{c:>10}" for c in cells) + " |"


def main(argv: list[str]) -> None:
  """Runs everything and prints the table."""
  del argv
  start = time.monotonic()
  workdir_lib.make_workdir(_WORKDIR.value)
  # The runs share most programs: each is compiled once.
  jax.config.update(
    "jax_compilation_cache_dir", os.path.join(_WORKDIR.value, "compiled")
  )
  config = load("walkers")
  print("== walkers", flush=True)
  datasets.prepare(config.data)
  seeds = range(_SEEDS.value)
  distilled = [train_student("walkers", seed) for seed in seeds]
  alone = [train_student("walkers_baseline", seed) for seed in seeds]
  teacher = score_teacher()
  many = len(seeds) > 1
  print(
    "\nRank-1 (%) on the test walkers without identical views"
    + (f"; mean ± standard deviation of {len(seeds)} seeds" if many else "")
  )
  print("\n".join(table(config, alone, distilled, teacher)))
  if many:
    print(f"gain of GaitKD, paired by seed: {gain(alone, distilled)}")
  print(
    "parameters: at inference; seconds: training and test, of a finished run "
    f"the test only.\nFiles: {storage.absolute(_WORKDIR.value)} "
    f"({time.monotonic() - start:.0f} s in all)"
  )


if __name__ == "__main__":
  cli.run(main)
