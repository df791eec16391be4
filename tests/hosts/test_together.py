"""Processes take turns and share work."""

import json

import numpy as np
import pytest

from gaitkd_jax.hosts import together
from tests.helpers import processes
from tests.helpers import split_scores

START = """
import json, pathlib, socket, sys, time
import jax
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)
count, folder, port, process = sys.argv[1:]
count, folder, process = int(count), pathlib.Path(folder), int(process)
jax.distributed.initialize(
  f"localhost:{port}", count, process, shutdown_timeout_seconds=3
)
from gaitkd_jax import errors
from gaitkd_jax.hosts import together
def keep(found):
  (folder / f"{process}.json").write_text(json.dumps(found))
"""


def results(program, folder, count=2):
  """What every process keeps, and what it prints."""
  processes.run_two(START + program, folder, count, folder, count=count)
  return [
    (
      json.loads((folder / f"{i}.json").read_text()),
      (folder / f"{i}.log").read_text(),
    )
    for i in range(count)
  ]


def test_one_process_is_asked_for_nothing():
  assert together.first_alone(lambda: 3, "count") == 3
  assert together.in_turn(lambda: 4, "count") == 4
  assert together.at_once(lambda: 5, "count") == 5
  assert together.share(7) == slice(0, 7)
  x = np.arange(6.0).reshape(3, 2)
  assert together.joined_shares(x, 3) is x
  assert together.total(x) is x


def test_the_others_wait_longer_than_they_may_at_the_end(tmp_path):
  program = """
began = time.monotonic()
def work():
  time.sleep(6)
  return "done"
keep([together.first_alone(work, "draw a page"), time.monotonic() - began])
"""
  (first, said), (other, told) = results(program, tmp_path)
  assert first[0] == "done" and other[0] is None and other[1] > 5
  assert told.count("process 1 waits for process 0 to draw a page") == 1
  assert "waits" not in said


@pytest.mark.parametrize("which", (0, 2))
def test_what_fails_in_one_fails_in_all(tmp_path, which):
  program = f"""
def work():
  if process == {which}:
    raise errors.UserError("no space is left")
try:
  together.in_turn(work, "prepare data")
  keep("done")
except errors.UserError as e:
  keep(str(e))
"""
  found = [text for text, _ in results(program, tmp_path, 3)]
  assert found.pop(which) == "no space is left"
  text = f"process {which} could not prepare data: no space is left"
  assert found == [text] * 2


@pytest.mark.parametrize(
  "shared, made", [(True, [0]), (False, [0, 2])], ids=["shared", "own"]
)
def test_a_folder_is_filled_once_or_once_on_each_host(tmp_path, shared, made):
  # Processes 0 and 1 are of one host, 2 and 3 of another.
  program = f"""
host = f"host{{process // 2}}"
socket.gethostname = lambda: host
place = folder / ("all" if {shared} else host)
def work():
  if place.exists():
    return ""
  time.sleep(3)
  place.mkdir()
  return host
keep([together.in_turn(work, "fill a folder"), sorted(
  path.name for path in folder.iterdir() if path.is_dir())])
"""
  found = [kept for kept, _ in results(program, tmp_path, 4)]
  assert [i for i, (own, _) in enumerate(found) if own] == made
  every = ["all"] if shared else ["host0", "host1"]
  assert [there for _, there in found] == [every] * 4


@pytest.mark.slow
def test_a_host_without_the_prepared_data_prepares_its_own(tmp_path):
  program = """
import ml_collections
host = socket.gethostname = lambda: f"host{process}"
data = ml_collections.ConfigDict(dict(
  name="walkers", variant="tiny", modalities=("silhouettes",), partition="",
  train_subjects=(), test_subjects=(), prepared=str(folder / host()),
))
keep([len(together.prepare_data(data).info.splits) for _ in range(2)])
"""
  (first, said), (other, told) = results(program, tmp_path)
  assert first == other == [2, 2]
  line = (
    "process 1 does not find what process 0 has prepared in "
    f"{tmp_path / 'host1'}; it prepares walkers on its own host"
  )
  assert told.count(line) == 1 and "does not find" not in said


def test_arrays_of_any_kind_are_joined(tmp_path):
  program = """
import numpy as np
sizes = [2, 0, 3]
whole = np.arange(5)
mine = whole[sum(sizes[:process]) : sum(sizes[: process + 1])]
big = np.array([2**49 - 1, 3, 2**21], np.int64) * (process == 1)
keep([
  together.joined(mine + 2**40, sizes).tolist(),
  together.joined((mine / 7)[:, None], sizes).tolist(),
  together.joined(mine[:0], [0, 0, 0]).tolist(),
  together.joined_shares(whole[together.share(5)], 5).tolist(),
  (together.total(big + process) - 3).tolist(),
])
"""
  whole = np.arange(5)
  expected = [
    (whole + 2**40).tolist(),
    (whole / 7)[:, None].tolist(),
    [],
    whole.tolist(),
    [2**49 - 1, 3, 2**21],
  ]
  assert [kept for kept, _ in results(program, tmp_path, 3)] == [expected] * 3


@pytest.mark.slow
def test_two_processes_find_what_one_finds(tmp_path):
  program = """
from tests.helpers import split_scores
keep([split_scores.metrics(), split_scores.submissions()])
"""
  alone = [split_scores.metrics(), split_scores.submissions()]
  alone = json.loads(json.dumps(alone))
  assert len(alone[1]["hid True"]) == 8
  for found, _ in results(program, tmp_path):
    np.testing.assert_equal(found, alone)
