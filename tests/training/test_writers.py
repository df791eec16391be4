"""Where metrics go: a JSON line, TensorBoard, a line on the console."""

import json

from gaitkd_jax.training import writers


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
