"""Hosts find each other without a cluster manager, as the docs show it."""

import json
import os
import re
import socket
import subprocess
import sys

import pytest

from gaitkd_jax.hosts import multihost
from tests.helpers import command
from tests.helpers import mistakes
from tests.helpers import paths

RUN = (
  "--config=configs/walkers_baseline.py:smoke",
  "--coordinator=localhost:{port}",
  "--num_processes=2",
  "--connect_seconds=2",
)


def free_port():
  with socket.socket() as s:
    s.bind(("localhost", 0))
    return s.getsockname()[1]


@pytest.mark.parametrize(
  "place, words",
  [
    (("localhost", 2, 0), "--coordinator=localhost is no host:port"),
    (("localhost:x", 2, 0), "no host:port"),
    (("localhost:70000", 2, 0), "no host:port"),
    (("localhost:1234", 0, 0), "--num_processes=0"),
    (("localhost:1234", 2, 2), "--process_id=2 .* from 0 to 1"),
    (("localhost:1234", 2, -1), "--process_id=-1"),
  ],
)
def test_a_place_that_cannot_be_is_named(place, words):
  assert re.search(words, mistakes.message(multihost.Place, *place))


def test_an_unknown_host_and_a_taken_port_are_named():
  place = multihost.Place("no.such.host.invalid:1234", 2, 1)
  assert "no such host" in mistakes.message(multihost.connect, place, 1)
  with socket.create_server(("", 0)) as taken:
    address = f"localhost:{taken.getsockname()[1]}"
    place = multihost.Place(address, 2, 0)
    text = mistakes.message(multihost.connect, place, 1)
  assert f"--coordinator={address}: its port is not free" in text


def test_flags_go_together():
  assert multihost.place(None, None, None) is None
  place = multihost.place("host:1", 2, 1)
  assert place == multihost.Place("host:1", 2, 1)
  text = mistakes.message(multihost.place, None, None, 1)
  assert "--coordinator and --num_processes missing" in text
  text = mistakes.message(multihost.place, "host:1", 2, None)
  assert text.startswith("--process_id missing")


@pytest.mark.parametrize(
  "process, words",
  [
    (0, "not all of 2 processes came to localhost:{port} within 2 s"),
    (1, "--coordinator=localhost:{port}: after 2 s nobody answers"),
  ],
)
def test_a_process_that_stays_alone_says_whom_it_waited_for(
  tmp_path, process, words
):
  port = free_port()
  text = command.mistake(
    *(arg.format(port=port) for arg in RUN),
    f"--process_id={process}",
    f"--workdir={tmp_path}",
  )
  assert words.format(port=port) in text


def documented(page):
  """The block of commands of a page that starts two processes."""
  blocks = re.findall(r"^```\w*\n(.*?)^```", page.read_text(), re.M | re.S)
  return next(block for block in blocks if "--coordinator" in block)


@pytest.mark.slow
def test_two_processes_as_documented_give_what_one_gives(tmp_path):
  block = documented(paths.ROOT / "docs" / "training.md")
  assert block == documented(paths.ROOT / "README.md")
  for name in ("configs", "shipped_teachers"):
    (tmp_path / name).symlink_to(paths.ROOT / name)
  env = os.environ | {
    "JAX_PLATFORMS": "cpu",
    "HOME": str(tmp_path),
    "PATH": os.pathsep.join(
      [os.path.dirname(sys.executable), os.environ["PATH"]]
    ),
    "PYTHONPATH": str(paths.ROOT),
    "XLA_FLAGS": command.QUICK,
  }
  done = subprocess.run(
    ["bash", "-e", "-c", block],
    cwd=tmp_path,
    env=env,
    capture_output=True,
    text=True,
    timeout=600,
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout.count("2 devices") == 2, done.stdout
  alone = command.run(RUN[0], f"--workdir={tmp_path / 'one'}", **env)
  assert alone.returncode == 0, alone.stderr
  two, one = (
    list(map(json.loads, (folder / "metrics.jsonl").read_text().splitlines()))
    for folder in (tmp_path / "runs" / "two", tmp_path / "one")
  )
  assert [row["step"] for row in two] == [row["step"] for row in one]
  # Later steps differ by what rounding has grown to.
  assert two[0]["train/loss"] == pytest.approx(one[0]["train/loss"], rel=1e-5)
  assert two[2]["train/loss"] == pytest.approx(one[2]["train/loss"], rel=1e-2)
  assert (tmp_path / "runs" / "two" / "eval" / "3.json").exists()
