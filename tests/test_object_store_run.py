"""A whole run in an object store equals one on the disk, whatever goes wrong.

Every program here is one that a user starts. The store is Google's, emulated
behind a proxy that fails as a test says (tests/helpers/object_store.py).
"""

import dataclasses
import json
import pathlib
import re
import subprocess

import jax
import numpy as np
from orbax import checkpoint as ocp
import pytest

from tests.helpers import command
from tests.helpers import object_store

CONFIG = "--config=configs/walkers.py:smoke"
STEPS = 6
# Of metrics.jsonl, what a clock or the machine says.
_TIMED = re.compile("second|_wait|hours_left|_gib")


@dataclasses.dataclass(frozen=True)
class Place:
  """Where programs read and write: a store and a folder in it, or the disk."""

  root: str
  environment: dict[str, str]

  def arguments(self, workdir):
    return (
      CONFIG,
      f"--config.train.steps={STEPS}",
      "--config.train.checkpoint_every=1",
      f"--workdir={self.root}/{workdir}",
      f"--config.data.prepared={self.root}/prepared",
      f"--config.teachers.deepgaitv2.checkpoint={self.root}/teacher",
    )

  def output(self, workdir, *more):
    return command.output(*self.arguments(workdir), *more, **self.environment)

  def run(self, workdir, *more):
    return command.run(*self.arguments(workdir), *more, **self.environment)

  def start(self, workdir, *more):
    return command.start(*self.arguments(workdir), *more, **self.environment)


_PREPARE = "-m", "data_pipelines.prepare"
_TEACHER = """
import sys
from gaitkd_jax import checkpoint, models
from tests.helpers import configs, networks

network = configs.load("walkers", "smoke")[1].teachers.deepgaitv2.model
variables = networks.initial_variables(models.create_model(network), 7)
checkpoint.save_model(sys.argv[1], variables, {"step": 9}, step=9)
"""


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
  """Variables of all programs: what one compiles, the others take."""
  return {
    "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("compiled")),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "TMPDIR": str(tmp_path_factory.mktemp("temporary")),
  }


def _fill(place):
  """Prepares data and writes a teacher, each by a program."""
  for program, arguments in (
    (("-c", _TEACHER), (f"{place.root}/teacher",)),
    (
      _PREPARE,
      ("--dataset=walkers", f"--prepared={place.root}/prepared")
      + ("--variant=tiny",),
    ),
  ):
    command.output(*arguments, program=program, **place.environment)


@pytest.fixture(scope="module")
def disk(tmp_path_factory, quick):
  place = Place(str(tmp_path_factory.mktemp("disk")), quick)
  _fill(place)
  place.output("run")
  return place


@pytest.fixture(scope="module")
def store():
  with object_store.gcs() as store:
    yield store


@pytest.fixture(scope="module")
def filled(store, quick):
  place = Place(store.url, {**quick, **store.environment})
  _fill(place)
  return place


@pytest.fixture
def place(store, filled):
  yield filled
  store.proxy.clear()


def _fetch(store, workdir, folder):
  """Copies a workdir of the store to the disk."""
  for name in store.names(f"{workdir}/"):
    file = folder / name.removeprefix(f"{workdir}/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(store.read(name))
  return folder


def _whole(store, workdir):
  """The steps whose checkpoints the store has to their end."""
  found = re.findall(
    rf"{workdir}/checkpoints/(\d+)/commit_success.txt\n",
    "\n".join([*store.names(f"{workdir}/checkpoints/"), ""]),
  )
  return [int(step) for step in found]


def _arrays(workdir, step):
  """All arrays of a checkpoint on the disk, by item and name."""
  found = {}
  for item in ("model", "optimizer"):
    with ocp.StandardCheckpointer() as reader:
      tree = reader.restore(workdir / "checkpoints" / str(step) / item)
    for path, leaf in jax.tree.leaves_with_path(tree):
      found[item + jax.tree_util.keystr(path)] = np.asarray(leaf)
  return found


def _metrics(workdir):
  lines = (workdir / "metrics.jsonl").read_text().splitlines()
  return [
    {k: v for k, v in json.loads(line).items() if not _TIMED.search(k)}
    for line in lines
  ]


def _assert_equal(store, workdir, disk, folder):
  """The run in the store is that of the disk, bit for bit."""
  there = _fetch(store, workdir, folder / "fetched")
  here = pathlib.Path(disk.root) / "run"
  wanted, found = _arrays(here, STEPS), _arrays(there, STEPS)
  assert wanted.keys() == found.keys()
  for name, array in wanted.items():
    assert array.dtype == found[name].dtype, name
    assert array.tobytes() == found[name].tobytes(), name
  assert _metrics(there) == _metrics(here)
  evaluation = f"eval/{STEPS}.json"
  assert (there / evaluation).read_text() == (here / evaluation).read_text()


@pytest.mark.slow
def test_a_whole_run_in_a_store_equals_one_on_the_disk(
  store, place, disk, tmp_path
):
  fault = store.proxy.hold("POST", f"run/checkpoints/{STEPS}/commit_success")
  process = place.start("run")
  assert fault.met.wait(300), process.communicate(timeout=1)
  process.kill()
  process.communicate()
  store.proxy.clear()
  # The last save was not whole, and is not taken for it.
  assert max(_whole(store, "run")) == STEPS - 1
  before = len(store.proxy.requests)
  place.output("run")
  restored = [
    r.target
    for r in store.proxy.requests[before:]
    if r.method == "GET" and "optimizer/manifest.ocdbt" in r.target
  ]
  assert f"run/checkpoints/{STEPS - 1}/" in restored[0]
  _assert_equal(store, "run", disk, tmp_path)

  report = "--mode=eval", "--config.eval.report=True"
  shown = place.output("run", *report)
  page = store.read(f"run/eval/{STEPS}.html").decode()
  assert f"written: {store.url}/run/eval/{STEPS}.html" in shown
  disk.output("run", *report)
  here = pathlib.Path(disk.root) / "run" / "eval" / f"{STEPS}.html"
  assert _placeless(page, place) == _placeless(here.read_text(), disk)


def _placeless(page, place):
  """A page without the name of the place where it was made."""
  return page.replace("<wbr>", "").replace(place.root, "<root>")


# What a run gets over: of each, what goes wrong, and for which requests.
PASSING = {
  "503 for two seconds, arrays": (
    lambda p, w: p.fail(503, "POST", f"{w}/checkpoints/1/.*/d/", seconds=2)
  ),
  "503 for two seconds, marks": (
    lambda p, w: p.fail(503, "POST", f"{w}/checkpoints/2/comm", seconds=2)
  ),
  "429, too many writes": lambda p, w: p.fail(429, "POST", f"{w}/m", times=2),
  "slow": (
    lambda p, w: p.slow(1.0, 20_000, "POST", f"{w}/checkpoints/3/.*/d/")
  ),
  "arrays cut while they are sent": (
    lambda p, w: p.cut("upload", "POST", f"{w}/checkpoints/4/.*/d/", times=2)
  ),
  "names of arrays cut while they are sent": (
    lambda p, w: p.cut("upload", "POST", f"{w}/checkpoints/4/.*_META", times=2)
  ),
  "a conditional write done, its answer cut": (
    lambda p, w: p.cut(
      "answer", "POST", f"{w}/checkpoints/5/.*manifest.*Match", times=1
    )
  ),
  "a teacher cut while it is read": (
    lambda p, w: p.cut("download", "GET", "teacher/.*/d/", times=1)
  ),
  "data cut while they are read": (
    lambda p, w: p.cut("download", "GET", "tfrecord", times=2)
  ),
  "503 for two seconds, data": (
    lambda p, w: p.fail(503, "GET", "tfrecord", seconds=2)
  ),
}


@pytest.mark.slow
def test_a_run_gets_over_what_passes(store, place, disk, tmp_path):
  faults = {
    name: make(store.proxy, "passing") for name, make in PASSING.items()
  }
  place.output("passing")
  unmet = [name for name, fault in faults.items() if not fault.met.is_set()]
  assert not unmet
  _assert_equal(store, "passing", disk, tmp_path)


def _one_line(done):
  """The only line that a program without a bug says when it gives up."""
  assert done.returncode == 2, done.stderr
  lines = done.stderr.splitlines()
  said = [line for line in lines if line.startswith("error: ")]
  assert said == lines[-1:], done.stderr
  assert "Traceback" not in done.stderr
  return said[0]


@pytest.mark.slow
@pytest.mark.parametrize(
  "workdir, fault, words",
  [
    ("absent", {}, ("--workdir gs://absent/absent", "no such bucket")),
    ("denied", {"status": 403}, ("--workdir", "/denied", "access")),
    (
      "data",
      {"status": 403, "method": "GET", "target": "tfrecord|index_"},
      ("gs://gait/prepared", "access"),
    ),
    (
      "teacher",
      {"status": 404, "target": "teacher/.*commit_success"},
      ("gs://gait/teacher/9", "incomplete checkpoint"),
    ),
  ],
)
def test_what_does_not_pass_is_one_line(store, place, workdir, fault, words):
  if fault:
    store.proxy.fail(**fault)
  else:
    place = dataclasses.replace(place, root="gs://absent")
  text = _one_line(place.run(workdir))
  for word in words:
    assert word in text
  assert not [n for n in store.names(workdir) if "checkpoints" in n]


@pytest.mark.slow
def test_a_bucket_that_is_lost_midway(store, place, disk, tmp_path):
  workdir = "lost"
  third = store.proxy.hold("POST", f"{workdir}/checkpoints/3/", times=1)
  process = place.start(workdir)
  assert third.met.wait(300)
  store.proxy.fail(404, target="gait")
  third.release()
  out, err = process.communicate(timeout=300)
  done = subprocess.CompletedProcess((), process.returncode, out, err)
  assert "not be written" in _one_line(done)
  store.proxy.clear()
  assert max(_whole(store, workdir)) == 2
  place.output(workdir)
  _assert_equal(store, workdir, disk, tmp_path)
