"""Two processes of four devices give what one of eight gives."""

import json

import numpy as np
import pytest

from gaitkd_jax.evaluation import evaluate
from tests.helpers import processes
from tests.helpers import untrained

PROGRAM = """
import json, sys
import jax
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 4)
prepared, workdir, port, process = sys.argv[1:]
jax.distributed.initialize(f"localhost:{port}", 2, int(process))
import pathlib
from gaitkd_jax.evaluation import embed
from gaitkd_jax.training import loop
from tests.helpers import configs
config = configs.smoke_config(prepared)
results = loop.train_and_evaluate(config, workdir)
store = embed.embed_checkpoint(config, workdir)
assert (store is None) == bool(jax.process_index())
pathlib.Path(workdir, f"results_{process}.json").write_text(json.dumps(results))
"""


MODES = """
import json, sys, time
import jax
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)
prepared, folder, port, process = sys.argv[1:]
jax.distributed.initialize(
  f"localhost:{port}", 2, int(process), shutdown_timeout_seconds=5
)
import pathlib
from data_pipelines import datasets
from gaitkd_jax.evaluation import embed
from gaitkd_jax.evaluation import evaluate
from gaitkd_jax.evaluation import report
from tests.helpers import untrained
folder = pathlib.Path(folder)
prepare, write = datasets.prepare, report.write
def slow_prepare(data, before_building=None):
  def build():
    before_building()
    (folder / f"built_by_{process}").touch()
    time.sleep(5)
  return prepare(data, before_building=before_building and build)
def slow_page(*args, **options):
  time.sleep(10)
  return write(*args, **options)
datasets.prepare, report.write = slow_prepare, slow_page
config = untrained.of_checkpoint(prepared, folder / "untrained")
store = embed.embed_checkpoint(config, folder / "run")
assert (store is None) == bool(jax.process_index())
found = [
  evaluate.score_store(config, folder / "run"),
  evaluate.evaluate_checkpoint(config, folder / "run"),
]
(folder / f"{process}.json").write_text(json.dumps(found))
"""


def run_modes(tmp_path, prepared):
  """Metrics of two processes, what they print, and who built the data."""
  untrained.config(prepared, tmp_path)
  processes.run_two(MODES, tmp_path, prepared, tmp_path)
  return (
    [json.loads((tmp_path / f"{i}.json").read_text()) for i in range(2)],
    [(tmp_path / f"{i}.log").read_text() for i in range(2)],
    sorted(path.name for path in tmp_path.glob("built_by_*")),
  )


@pytest.mark.slow
def test_modes_of_two_processes_do_what_those_of_one_do(tmp_path):
  # Nothing is prepared, and the page takes longer than JAX waits at the end.
  prepared = tmp_path / "prepared"
  found, printed, built = run_modes(tmp_path, prepared)
  assert built == ["built_by_0"]
  waits = f"process 1 waits for process 0 to prepare walkers in {prepared}"
  assert printed[1].count(waits) == 1
  assert "process 1 waits for process 0 to report the evaluation" in printed[1]
  assert "waits" not in printed[0]
  config = untrained.of_checkpoint(prepared, tmp_path / "untrained")
  alone = evaluate.evaluate_checkpoint(config, tmp_path / "alone")
  for score, evaluation in found:
    assert score == pytest.approx(alone, rel=1e-5)
    assert evaluation == pytest.approx(alone, rel=1e-5)
  pages = [
    (tmp_path / name / "eval" / "4.html").read_text()
    for name in ("run", "alone")
  ]
  assert [page.count("<article>") for page in pages] == [
    pages[1].count("<article>")
  ] * 2


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path, uninterrupted, prepared):
  workdir = tmp_path / "run"
  processes.run_two(PROGRAM, tmp_path, prepared, workdir)
  config, whole, results, _ = uninterrupted
  both = [
    json.loads((workdir / f"results_{i}.json").read_text()) for i in range(2)
  ]
  assert both[0] == both[1]
  # One process scores the same checkpoint as two do.
  alone = evaluate.evaluate_checkpoint(config, workdir)
  assert alone == pytest.approx(both[0], rel=1e-5)
  # One process scores what two have stored as they did.
  assert evaluate.score_store(config, workdir) == pytest.approx(
    both[0], rel=1e-5
  )
  # A rank may change where two distances differ by rounding only.
  assert abs(both[0]["mean/rank1"] - results["mean/rank1"]) < 2
  of_two, of_one = (
    [
      json.loads(line)
      for line in (w / "metrics.jsonl").read_text().splitlines()
    ]
    for w in (workdir, whole)
  )
  for a, b in zip(of_two, of_one, strict=True):
    if "train/loss" in b:
      np.testing.assert_allclose(a["train/loss"], b["train/loss"], rtol=1e-4)
  np.testing.assert_allclose(
    of_two[0]["train/loss"], of_one[0]["train/loss"], rtol=1e-6
  )
