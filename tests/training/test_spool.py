"""Logs in an object store: copied while they grow, and never in the way."""

import json
import re
import time

import pytest

from gaitkd_jax import config as config_lib
from gaitkd_jax import errors
from gaitkd_jax import storage
from gaitkd_jax.training import logs


@pytest.fixture
def open_logs(any_bucket):
  """Opens the logs of a run, whose finished steps are given."""
  return lambda last=None: logs.create_writer(
    config_lib.default(), storage.path(f"{any_bucket.url}/run"), last
  )


def steps(store):
  lines = (store.read("run/metrics.jsonl") or b"").decode().splitlines()
  return [json.loads(line)["step"] for line in lines]


def wait(condition, seconds=20):
  end = time.monotonic() + seconds
  while not condition() and time.monotonic() < end:
    time.sleep(0.05)
  assert condition()


def events(store):
  names = [n for n in store.names("run/") if "tfevents" in n]
  return b"".join(store.read(name) for name in names)


def test_each_line_is_in_the_store_soon(any_bucket, open_logs):
  """So a run that is killed, here never closed, loses no more than the last."""
  writer = open_logs()
  for step in (1, 2):
    writer.write(step, {"train/loss": 1.5})
    wait(lambda step=step: steps(any_bucket)[-1:] == [step])
    # Also TensorBoard's points, which it holds back for two minutes.
    wait(lambda step=step: events(any_bucket).count(b"train/loss") >= step)
  assert steps(any_bucket) == [1, 2]
  writer.close()


def test_a_resumed_run_drops_later_lines(any_bucket, open_logs):
  with open_logs() as writer:
    for step in (1, 2, 3):
      writer.write(step, {"train/loss": 1.5})
  assert steps(any_bucket) == [1, 2, 3]
  first = [n for n in any_bucket.names("run/") if "tfevents" in n]
  with open_logs(2) as writer:
    writer.write(3, {"train/loss": 2.5})
  lines = any_bucket.read("run/metrics.jsonl").decode().splitlines()
  assert json.loads(lines[-1]) == {"step": 3, "train/loss": 2.5}
  assert steps(any_bucket) == [1, 2, 3]
  assert set(first) <= set(any_bucket.names("run/"))
  with open_logs():
    pass
  assert steps(any_bucket) == []


def test_a_store_that_is_away_stalls_nothing(any_bucket, open_logs, capsys):
  """It is told once, and all is there when the store is back."""
  with open_logs() as writer:
    writer.write(1, {"train/loss": 1.5})
    wait(lambda: steps(any_bucket) == [1])
    fault = any_bucket.proxy.fail(403, "POST|PUT", "run/metrics")
    began = time.monotonic()
    for step in range(2, 50):
      writer.write(step, {"train/loss": 1.5})
    assert time.monotonic() - began < 1
    assert fault.met.wait(20)
    time.sleep(1.5)  # another try
    any_bucket.proxy.clear()
  assert steps(any_bucket) == list(range(1, 50))
  out = capsys.readouterr().out
  assert out.count("the logs cannot be copied") == 1


def test_what_cannot_be_copied_is_kept(any_bucket, open_logs):
  writer = open_logs()
  any_bucket.proxy.fail(403, "POST|PUT")
  writer.write(1, {"train/loss": 1.5})
  with pytest.raises(errors.UserError, match="metrics.jsonl") as e:
    writer.close()
  (kept,) = re.findall(r"kept in (\S+):", str(e.value))
  assert '"step": 1' in (storage.path(kept) / "metrics.jsonl").read_text()
