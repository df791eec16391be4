"""Times an evaluation by one process and by two. Run it on an idle machine.

python scripts/bench_hosts.py --config=configs/walkers_baseline.py

Every process has one core of its own, so two have the cores of two hosts. They
do what --mode=eval does (embed the test split of the config by a network that
was initialised at random, rank, verify), and what --mode=score does (rank and
verify --embeddings random embeddings of 16 x 256 by the protocol casiab). Both
are done twice by a process: the first time compiles, the second is timed. One
process and two take turns, --rounds times.

Prints the median seconds of the second time; the seconds of the processor that
it took, of two processes the larger, which other programs of the machine change
less; the seconds in all, from the start of Python to the end of the first time;
the ratios of two to one; and by how much metrics differ, which is rounding.
"""

from collections.abc import Callable
from collections.abc import Mapping
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from absl import flags
import jax
from jax.experimental import multihost_utils
from ml_collections import config_flags
import numpy as np

from gaitkd_jax import checkpoint
from gaitkd_jax import cli
from gaitkd_jax import errors
from gaitkd_jax import evaluation
from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax.evaluation import embed
from gaitkd_jax.evaluation import evaluate
from gaitkd_jax.evaluation import protocols
from gaitkd_jax.evaluation import scoring
from gaitkd_jax.hosts import multihost

_CONFIG = config_flags.DEFINE_config_file("config", lock_config=True)
_EMBEDDINGS = flags.DEFINE_integer(
  "embeddings", 20_000, "that are ranked, about; 0: leave it out", 0
)
_ROUNDS = flags.DEFINE_integer("rounds", 3, "of one process, then of two", 1)
_WORK = flags.DEFINE_enum(
  "work", None, ["eval", "score"], "what a process does; of this program's own"
)
_FOLDER = flags.DEFINE_string("folder", "", "of the checkpoint, likewise")
_COUNT = flags.DEFINE_integer("count", 1, "of processes, likewise")
_INDEX = flags.DEFINE_integer("index", 0, "of the process, likewise")
_PORT = flags.DEFINE_integer("port", 0, "where processes meet, likewise")
_BEGAN = flags.DEFINE_float("began", 0, "when it was started, likewise")
_RESULT = "result: "
# Probes and gallery of the protocol casiab.
_CONDITIONS = (
  *(f"nm-0{i}" for i in range(1, 7)),
  *("bg-01", "bg-02", "cl-01", "cl-02"),
)
_VIEWS = tuple(f"{angle:03}" for angle in range(0, 181, 18))


def evaluation_of(config: Any) -> Callable[[], Mapping[str, float]]:
  """What embeds and scores the test split."""
  mesh = sharding.create_mesh()
  module, variables, _ = embed.restore(config, _FOLDER.value, mesh)
  evaluator = evaluate.Evaluator(config, module, mesh)

  def work() -> Mapping[str, float]:
    found = evaluator(variables)
    assert found is not None  # `main` refuses submissions
    return scoring.verified(found).flat()

  return work


def ranking() -> Callable[[], Mapping[str, float]]:
  """What scores random embeddings."""
  of_one = len(_CONDITIONS) * len(_VIEWS)
  people = max(_EMBEDDINGS.value // of_one, 2)
  rows = [
    (f"{person:04}", condition, view)
    for person in range(people)
    for condition in _CONDITIONS
    for view in _VIEWS
  ]
  labels = evaluation.Labels.of(*np.array(rows).T)
  rng = np.random.default_rng(0)
  embeddings = rng.standard_normal((len(rows), 16, 256), np.float32)
  centres = rng.standard_normal((people, 16, 256), np.float32)
  embeddings += 0.3 * centres.repeat(of_one, 0)
  embedded = evaluation.Embedded(embeddings, labels, {})
  protocol = protocols.PROTOCOLS["casiab"]
  return lambda: scoring.verified(scoring.evaluate(protocol, embedded)).flat()


def take_part(config: Any) -> None:
  """Works as one of the processes, and prints what it took."""
  if _COUNT.value > 1:
    address = f"localhost:{_PORT.value}"
    place = multihost.Place(address, _COUNT.value, _INDEX.value)
    multihost.connect(place, 300)
  work = evaluation_of(config) if _WORK.value == "eval" else ranking()
  work()
  whole = time.time() - _BEGAN.value
  multihost_utils.sync_global_devices("timed")
  start, used = time.perf_counter(), time.process_time()
  metrics = work()
  result = {
    "seconds": time.perf_counter() - start,
    "processor": time.process_time() - used,
    "whole": whole,
    "metrics": metrics,
  }
  print(_RESULT + json.dumps(result), flush=True)


def run(what: str, cores: list[int], folder: str) -> dict[str, Any]:
  """Runs a process on each core.

  Returns:
    "seconds", "processor" and "whole", the largest of all processes, and the
    "metrics".
  """
  with socket.socket() as s:
    s.bind(("localhost", 0))
    port = s.getsockname()[1]
  started = []
  for i, core in enumerate(cores):
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})  # a new process has that of its parent
    command = [
      sys.executable,
      *sys.argv,
      f"--work={what}",
      f"--folder={folder}",
      f"--count={len(cores)}",
      f"--index={i}",
      f"--port={port}",
      f"--began={time.time()}",
    ]
    started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    os.sched_setaffinity(0, own)
  found = []
  for process in started:
    printed, _ = process.communicate()
    lines = [x for x in printed.splitlines() if x.startswith(_RESULT)]
    if process.returncode or not lines:
      raise errors.UserError("a process has failed; see above what it said")
    found.append(json.loads(lines[0].removeprefix(_RESULT)))
  largest = {
    key: max(one[key] for one in found)
    for key in ("seconds", "processor", "whole")
  }
  return {**largest, "metrics": found[0]["metrics"]}


def compare(what: str, title: str, cores: list[int], folder: str) -> None:
  """One process and two in turns; prints medians and ratios."""
  runs: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
  for _ in range(_ROUNDS.value):
    for count, results in runs.items():
      results.append(run(what, cores[:count], folder))
  print(f"{title}, median of {_ROUNDS.value}", flush=True)
  print(f"{'':20}{'one process':>13}{'two':>9}{'ratio':>8}")
  for key, label in (
    ("seconds", "seconds"),
    ("processor", "of the processor"),
    ("whole", "in all"),
  ):
    one, two = (
      statistics.median(result[key] for result in results)
      for results in runs.values()
    )
    print(f"{label:20}{one:13.2f}{two:9.2f}{two / one:8.2f}")
  one, two = (results[0]["metrics"] for results in runs.values())
  apart = max(
    (abs(two[key] - one[key]) for key in one if one[key] == one[key]),
    default=0.0,
  )
  print(f"metrics differ by {apart:.2g} at most", flush=True)


def main(argv: list[str]) -> None:
  """Is one of the processes, or starts them."""
  del argv
  config = cli.config(_CONFIG)
  if _WORK.value:
    take_part(config)
    return
  if evaluate.primary_metric(config) == "":
    raise errors.UserError(
      f"config.eval.protocol={config.eval.protocol} has no metrics to compare; "
      "give another"
    )
  cores = sorted(os.sched_getaffinity(0))[:2]
  if len(cores) < 2:
    raise errors.UserError("one core is at hand; give this program two")
  with tempfile.TemporaryDirectory() as folder:
    _prepare(config, folder)
    data = embed.test_data(config).name
    title = f"--mode=eval, {config.model.name} on {data}"
    compare("eval", title, cores, folder)
    if _EMBEDDINGS.value:
      title = f"--mode=score, {_EMBEDDINGS.value} embeddings"
      compare("score", title, cores, folder)


def _prepare(config: Any, folder: str) -> None:
  """Prepares the data, and writes a checkpoint."""
  from data_pipelines import datasets

  datasets.prepare(embed.test_data(config))
  module = models.create_model(config.model, config.dtype)
  variables = models.init_variables(module, jax.random.key(0))
  checkpoint.save_model(pathlib.Path(folder) / "checkpoints", variables, {})


if __name__ == "__main__":
  cli.run(main)
