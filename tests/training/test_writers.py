"""Where metrics go: a JSON line, TensorBoard, a line on the console."""

import json

import pytest

from gaitkd_jax.training import writers
from tests.helpers import disks


def lines(path):
  return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_resumed_run_drops_later_and_broken_lines(tmp_path):
  path = tmp_path / "metrics.jsonl"
  writer = writers.JsonlWriter(path, None)
  for step in (1, 2, 3):
    writer.write(step, {"train/loss": step / 2})
  writer.close()
  with path.open("a") as f:
    f.write('{"step": 4, "trai')
  resumed = writers.JsonlWriter(path, 2)
  resumed.write(3, {"train/loss": float("nan")})
  resumed.close()
  assert lines(path) == [
    {"step": 1, "train/loss": 0.5},
    {"step": 2, "train/loss": 1.0},
    {"step": 3, "train/loss": None},
  ]


def test_a_new_run_begins_a_new_file(tmp_path):
  path = tmp_path / "metrics.jsonl"
  path.write_text('{"step": 1}\n')
  writers.JsonlWriter(path, None).close()
  assert lines(path) == []


def test_several_writers_get_everything(tmp_path, capsys):
  with writers.MultiWriter(
    [
      writers.JsonlWriter(tmp_path / "a.jsonl", None),
      writers.TensorBoardWriter(tmp_path, None),
      writers.ConsoleWriter(),
    ]
  ) as writer:
    writer.write(7, {"train/loss": 1.25})
  assert lines(tmp_path / "a.jsonl") == [{"step": 7, "train/loss": 1.25}]
  assert b"train/loss" in next(tmp_path.glob("events.*")).read_bytes()
  assert "step 7: loss=1.25" in capsys.readouterr().out


def test_lines_that_are_not_ours_are_dropped(tmp_path):
  path = tmp_path / "metrics.jsonl"
  kept = b'{"step": 1, "train/loss": 2.0}\n'
  path.write_bytes(b"\xff\xfe\x00\n3\n[1]\n" + kept + b'{"step": "x"}\n')
  writers.JsonlWriter(path, 3).close()
  assert path.read_bytes() == kept


def test_scores_that_are_made_again_are_dropped(tmp_path):
  path = tmp_path / "m"
  writer = writers.JsonlWriter(path, None)
  for step in (1, 2):
    writer.write(step, {"train/loss": 1.0})
    writer.write(step, {"eval/rank1": 1.0})
  writer.close()
  writers.JsonlWriter(path, 2, scores_again=True).close()
  kept = [list(json.loads(x)) for x in path.read_text().splitlines()]
  train, scores = ["step", "train/loss"], ["step", "eval/rank1"]
  assert kept == [train, scores, train]


def test_a_full_disk_does_not_end_the_run(tmp_path, capsys):
  path = tmp_path / "a.jsonl"
  with writers.MultiWriter(
    [
      writers.JsonlWriter(path, None),
      writers.TensorBoardWriter(tmp_path, None),
      writers.ConsoleWriter(),
    ]
  ) as writer:
    writer.write(1, {"train/loss": 1.0})
    with disks.full(path.stat().st_size + 5):
      for step in range(2, 40):
        writer.write(step, {"train/loss": 1.0})
    writer.write(40, {"train/loss": 2.0})
  # What did not fit is written when there is room again.
  assert [line["step"] for line in lines(path)] == list(range(1, 41))
  out, said = capsys.readouterr()
  assert "step 39: loss=1" in out
  assert sorted(line.split(" cannot")[0] for line in said.splitlines()) == [
    "TensorBoard's events",
    "metrics.jsonl",
  ]
  assert "(File too large); the run goes on" in said
  events = [p.read_bytes() for p in tmp_path.glob("events.*")]
  assert any(b"train/loss" in e for e in events)


def test_points_of_a_resumed_run_replace_those_of_before(tmp_path):
  """As TensorBoard reads them."""
  import tensorboardX.proto.event_pb2 as event_pb2
  import tensorflow as tf
  from tensorflow.core.util import event_pb2 as tf_event_pb2

  assert event_pb2.SessionLog.START == 1
  writer = writers.TensorBoardWriter(tmp_path, 3)
  writer.write(4, {"train/loss": 2.0})
  writer.close()
  (path,) = tmp_path.glob("events.*")
  events = [
    tf_event_pb2.Event.FromString(record.numpy())
    for record in tf.data.TFRecordDataset(str(path))
  ]
  assert events[0].file_version == "brain.Event:2"
  assert events[1].session_log.status == 1 and events[1].step == 4
  assert events[2].step == 4
  assert events[2].summary.value[0].tag == "train/loss"


def test_the_console_says_speed_waiting_memory_and_time_left(capsys):
  console = writers.ConsoleWriter()
  measured = dict(
    seconds_per_step=0.476,
    steps_per_second=2.1,
    sequences_per_second=269,
    data_wait=0.031,
    device_gib=5.23,
    host_gib=3.04,
    hours_left=1.04,
  )
  scalars = {f"train/{k}": v for k, v in measured.items()}
  assert scalars.keys() == set(writers.MEASURED)
  console.write(300, {"train/loss": 1.25} | scalars)
  console.write(300, {"train/loss": 1.25, "train/host_gib": 1.0})
  assert capsys.readouterr().out.splitlines() == [
    "step 300: loss=1.25 | 2.1 steps/s, 3% waiting for data, device 5.23 GiB, "
    "host 3.04 GiB, 1h02m left",
    "step 300: loss=1.25 | host 1 GiB",
  ]


@pytest.mark.parametrize(
  "hours, text",
  [(0.011, "40s"), (0.05, "3m"), (2.084, "2h05m"), (76.2, "3d04h")],
)
def test_time_left_is_readable(capsys, hours, text):
  writers.ConsoleWriter().write(1, {"train/hours_left": hours})
  assert capsys.readouterr().out == f"step 1: {text} left\n"
