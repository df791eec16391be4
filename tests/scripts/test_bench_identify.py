"""The program that scores what is found in scenes with known truth."""

from tests.helpers import command

BENCH = ("scripts/bench_identify.py",)


def test_a_scene_is_rendered_and_scored(tmp_path):
  done = command.run("--scenes=coat", f"--keep={tmp_path}", program=BENCH)
  assert done.returncode == 0, done.stderr
  title, row, total, speed = done.stdout.splitlines()
  assert title.split()[:3] == ["scene", "people", "found"]
  assert row.split()[:6] == ["coat", "1", "1", "0", "0", "0"]
  assert float(row.split()[7]) > 0.6  # of silhouettes
  assert total.split()[1:] == row.split()[1:]
  assert speed.endswith("frames a second were looked at")
  assert [path.name for path in tmp_path.iterdir()] == ["coat.mp4"]


def test_a_scene_that_is_not_there_is_one_line():
  done = command.run("--scenes=nowhere", program=BENCH)
  assert done.returncode == 2
  assert done.stderr.count("\n") == 1
  assert (
    "there is no scene 'nowhere'; choose of demo, alone-left" in done.stderr
  )
