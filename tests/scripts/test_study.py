"""The study of objectives: what its rows run, and what its report says."""

import json
import re

import jax
import numpy as np
import pytest

from gaitkd_jax import config as config_lib
from gaitkd_jax import models
from gaitkd_jax.distill import compatibility
from gaitkd_jax.distill import teachers as teachers_lib
from tests.helpers import command
from tests.helpers import paths
from tests.helpers import scripts

PROGRAM = ("scripts/study.py",)


@pytest.fixture(scope="module")
def script():
  return scripts.load("study")


def folder(name):
  return "".join(ch if ch.isalnum() else "_" for ch in name.lower())


def write(workdir, name, seed, rank1, where="", steps=7):
  run = workdir / f"steps_{steps}" / folder(name) / str(seed)
  path = run / where / "eval" / f"{steps}.json"
  path.parent.mkdir(parents=True)
  path.write_text(
    json.dumps(
      {
        f"{c}/rank1": rank1 + d
        for c, d in zip(("NM", "BG", "CL"), (9, 0, -9), strict=True)
      }
    )
  )


@pytest.mark.parametrize(
  "name",
  [p.stem for p in sorted((paths.ROOT / "scripts/studies").glob("*.py"))],
)
def test_every_row_is_a_config_of_its_own(name, script):
  study = script.load_study(name)
  found = []
  for row in study.ROWS.values():
    config = row(lambda other: f"runs/{other}")
    config_lib.check(config)
    # How one and several are put together is the default of both.
    found.append(config.to_json())
  assert len(set(found)) >= len(found) - 1
  assert study.COMPARED in study.ROWS
  starts = {
    row(lambda other: f"runs/{other}").train.init_from
    for row in study.ROWS.values()
  }
  quantised = name.startswith("quantisation")
  assert starts == ({"", "runs/float"} if quantised else {""})


def test_soft_from_the_start_differs_from_soft_in_nothing_else(script):
  rows = script.load_study("quantisation").ROWS

  def stage(name):
    c = rows[name](lambda other: f"runs/{other}")
    c.train.steps = 30  # as --steps does
    q = c.quantization
    return (
      (q.rounding_from, q.sharpness.begin, q.sharpness.steps),
      (q.hold_norms_from, q.freeze_scales_from, c.optim.schedule.at),
    )

  soft = stage("W4A4, soft")
  start = stage("W4A4, soft from the start")
  assert soft == ((20, 20, 30), (20, 28, 20))
  assert start == ((0, 0, 30), (20, 28, 20))
  slow = stage("W4A4, soft from the start, slow")
  assert slow == ((0, 0, 30), (0, 28, 0))


@pytest.mark.parametrize("name", ["quantisation", "quantisation_wide"])
def test_students_of_either_width_fit_all_their_teachers(name, script):
  study, connected = script.load_study(name), []
  for row in study.ROWS.values():
    c = row(lambda other: f"runs/{other}")
    teachers = teachers_lib.create_teachers(c.teachers, c.dtype)
    student = models.create_model(c.model, c.dtype)
    compatibility.check_compatible(
      student, c.model.name, teachers, c.distillation
    )
    connected += [n for n, teacher in teachers.items() if teacher.connector]
  # Only where widths differ: that of a float network of its own is the same.
  assert connected == (["deepgaitv2"] if name.endswith("wide") else [])


def test_the_report_pairs_seeds(tmp_path):
  workdir = tmp_path / "runs"
  for seed, rank1 in enumerate((30.0, 32.0, 40.0)):
    write(workdir, "student alone", seed, rank1)
    write(workdir, "student alone", seed, rank1 - 10, "recorded")
    if seed < 2:
      write(workdir, "GaitKD", seed, rank1 + 4 + seed)
  write(workdir, "RKD", 1, 22.0)
  (tmp_path / "study_notes.md").write_text("## What it says\n")
  args = (f"--workdir={workdir}", f"--docs={tmp_path}", "--report")
  done = command.run(*args, "--seeds=3", "--steps=7", program=PROGRAM)
  assert done.returncode == 0, done.stderr
  text = (tmp_path / "study.md").read_text()
  tables = text.split("\n## ")
  assert [t.splitlines()[0] for t in tables[1:]] == [
    "Test walkers",
    "Recorded walks",
    "What it says",
  ]
  assert "--seeds=3 --steps=7`" in text and " 7 steps each" in text
  rows = [line for line in tables[1].splitlines() if line.startswith("| ")][1:]
  # Student's t of one degree of freedom, times 0.7071, over the root of two.
  assert rows == [
    "| student alone | 3 | 34.00 | 5.29 | - |",
    "| GaitKD | 2 | 35.50 | 2.12 | +4.50 ± 6.36 |",
    "| RKD | 1 | 22.00 | - | -10.00 ± - |",
  ]
  assert "| student alone | 3 | 24.00 | 5.29 | - |" in tables[2]
  plot = (tmp_path / "study.svg").read_text()
  assert plot.startswith("<svg") and plot.count("<circle") == 2
  assert len(re.findall("font-weight", plot)) == 2
  # GaitKD's interval includes zero; RKD's single pair lies below.
  assert plot.count("#57606a") == plot.count("#cf222e") == 2


def test_the_report_compares_with_further_rows_and_names_machines(tmp_path):
  workdir = tmp_path / "runs"
  rows = {
    "float, trained on": (30.0, 34.0),
    "W4A4, straight-through": (28.0, 30.0),
    "W4A4, soft and IDC": (29.0, 33.0),
  }
  for name, ranks in rows.items():
    for seed, rank1 in enumerate(ranks):
      write(workdir, name, seed, rank1)
  places = [
    workdir / "steps_7" / folder(name) / "1/machine.txt" for name in rows
  ]
  for path, text in zip(places, ("a GPU", "a GPU", "2 cores"), strict=True):
    path.write_text(text)
  args = (f"--workdir={workdir}", f"--docs={tmp_path}", "--report")
  done = command.run(
    *args, "--study=quantisation", "--seeds=2", "--steps=7", program=PROGRAM
  )
  assert done.returncode == 0, done.stderr
  text = (tmp_path / "study_quantisation.md").read_text()
  assert "7 steps each, on 2 cores and a GPU." in text
  # Differences +1 and +3 have a spread of 1.414; -1 and -1 have none.
  assert [line for line in text.splitlines() if line.startswith("| ")] == [
    "| network | seeds | Rank-1 | spread | against float, trained on | "
    "against W4A4, straight-through |",
    "| float, trained on | 2 | 32.00 | 2.83 | - | +3.00 ± 12.71 |",
    "| W4A4, straight-through | 2 | 29.00 | 1.41 | -3.00 ± 12.71 | - |",
    "| W4A4, soft and IDC | 2 | 31.00 | 2.83 | -1.00 ± 0.00 | +2.00 ± 12.71 |",
  ]


def test_the_report_follows_rows_over_steps(tmp_path):
  workdir = tmp_path / "runs"
  for steps, gain in ((7, 4.0), (70, 1.0)):
    for seed, rank1 in enumerate((30.0, 32.0)):
      write(workdir, "student alone", seed, rank1 + steps, steps=steps)
      write(workdir, "best", seed, rank1 + steps + gain, steps=steps)
  write(workdir, "RKD", 0, 50.0, steps=7)
  args = (f"--workdir={workdir}", f"--docs={tmp_path}", "--report")
  done = command.run(
    *args, "--study=teaching", "--seeds=2", "--steps=70,7", program=PROGRAM
  )
  assert done.returncode == 0, done.stderr
  text = (tmp_path / "study_teaching.md").read_text()
  assert "--steps=7,70`" in text and " 7 or 70 steps each" in text
  titles = re.findall("^## (.*)", text, re.MULTILINE)
  assert titles == ["Test walkers, 7 steps", "Test walkers, 70 steps"]
  assert "| best | 2 | 42.00 | 1.41 | +4.00 ± 0.00 |" in text
  assert "| best | 2 | 102.00 | 1.41 | +1.00 ± 0.00 |" in text
  assert "![Rank-1 over steps](study_teaching_steps.svg)" in text
  drawn = (tmp_path / "study_teaching_steps.svg").read_text()
  # One seed has no interval, and is not drawn.
  assert "student alone" in drawn and "best" in drawn and "RKD" not in drawn


def test_a_run_notes_its_machine(script):
  assert re.fullmatch(r"\d+ cores of \w+ with jax [\d.]+", script.machine())
  with jax.default_matmul_precision("highest"):
    assert "(products of matrices in precision highest)" in script.machine()


def test_the_plot_is_to_scale():
  rows = scripts.load("study_rows")
  row = rows.Row(seeds=5, mean=40.0, spread=1.0, gain=6.0, half=2.0)
  other = rows.Row(seeds=5, mean=30.0, spread=1.0, gain=-4.0, half=1.0)
  shown = {"alone": row, "good": row, "bad": other}
  plots = scripts.load("study_plots")
  plot = plots.gains({"a test": shown}, "alone", "against it")
  dots = [float(x) for x in re.findall(r'circle cx="([\d.]+)"', plot)]
  middle = float(re.search(r'<line x1="([\d.]+)" x2="\1"', plot)[1])
  np.testing.assert_allclose(
    (dots[0] - middle) / (middle - dots[1]), 1.5, atol=0.01
  )
  assert plot.count("#1a7f37") == plot.count("#cf222e") == 2


@pytest.mark.parametrize(
  "args, words",
  [
    (("--rows=KD",), "--rows has 'KD'; give some of student alone, GaitKD"),
    (("--part=2/2",), "--part is 2/2; give 0/2 and 1/2, say"),
    (("--part=half",), "--part is half"),
    (("--report",), "no run of"),
    (("--steps=100,0",), "--steps is 100,0; give 100, or 100,400,1600, say"),
    (("--steps=many",), "--steps is many; give 100"),
    (
      ("--study=bits",),
      "--study is bits; give one of objectives, quantisation",
    ),
  ],
)
def test_one_line_and_status_2(args, words, tmp_path):
  done = command.run(*args, f"--workdir={tmp_path}", program=PROGRAM)
  assert done.returncode == 2, done.stderr
  assert words in done.stderr
  assert done.stderr.count("\n") == 1, done.stderr
