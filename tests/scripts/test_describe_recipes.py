"""The program that compiles all recipes for accelerators."""

import json
import os
import sys

import pytest

from tests.helpers import command
from tests.helpers import configs
from tests.helpers import scripts

DESCRIBE = ("scripts/describe_recipes.py",)
# Stands for a Python that compiles: notes what it is asked, and answers.
PYTHON = f"""#!{sys.executable}
import json, os, pathlib, sys
pathlib.Path({{calls!r}}).open("a").write(" ".join(sys.argv[2:]) + "\\n")
if "gaitset.py:grew_smoke" in sys.argv[2]:
  sys.exit("a line\\nerror: it broke")
found = {{found!r}}
for name in "train", "embed":
  print(json.dumps(found | dict(program=name)))
"""
FOUND = dict(
  clips=128,
  frames=30,
  dtype="bfloat16",
  fits=True,
  needed_gib=5.9,
  arguments_gib=0.4,
  temporaries_gib=5.5,
  flops=4.4e12,
  bytes=49e9,
  arithmetic_s=0.0223,
  memory_s=0.0598,
  binds="memory",
  clips_per_s=2140.0,
)
RESULT = dict(recipe="gait3d.py:swingait", programs=[])


@pytest.fixture(scope="module")
def script():
  return scripts.load("describe_recipes")


@pytest.fixture(scope="module")
def recipes(script):
  return script.recipes()


def test_every_recipe_of_a_benchmark_is_compiled_once(recipes):
  names = [name for same in recipes.values() for name in same]
  assert len(names) == len(set(names))
  expected = {
    f"{file}.py:{variant}".rstrip(":")
    for file in configs.FILES
    for variant in configs.module(file).VARIANTS
    if configs.load(file, variant)[1].data.name != "walkers"
  }
  assert set(names) == expected
  assert all(same[0] == name for name, same in recipes.items())


def test_rivals_count_as_the_recipe_with_the_same_networks(recipes):
  assert "distill.py:rkd_gait3d" in recipes["gait3d.py"]
  assert (
    "distill.py:gaitkd_two_teachers_gait3d" in recipes["gait3d.py:swingait"]
  )
  assert "gaitbase.py:ccpg" in recipes["ccpg.py:baseline"]
  # Another clip, another dtype.
  assert recipes["gaitbase.py:gait3d"] == ["gaitbase.py:gait3d"]
  assert recipes["gaitbase.py:casiab"] == ["gaitbase.py:casiab"]


@pytest.mark.parametrize(
  "changes",
  [
    {"dtype": "float32"},
    {"batch.identities": 8},
    {"clip.frames": 10},
    {"quantization.weights": 4},
    {"model.embedding_dim": 128},
    {"teachers.deepgaitv2.model.blocks": (1, 1, 1, 1)},
  ],
)
def test_other_programs_are_others(script, changes):
  config = configs.load("gait3d")[1]
  before = script.program_key(config)
  config.optim.learning_rate = 0.5
  assert script.program_key(config) == before
  config.update_from_flattened_dict(changes)
  assert script.program_key(config) != before


def test_short_compilations_come_first(script):
  networks = ("gaitset.py:grew", "gaitbase.py:grew", "gait3d.py")
  sizes = [script.size(name) for name in networks]
  assert sizes == sorted(sizes)
  assert script.size("gait3d.py:swingait") > sizes[-1]


def row(script, train, embed):
  programs = [train | {"program": "train"}, embed | {"program": "embed"}]
  return script.row(RESULT | {"programs": programs})


def test_a_row_has_the_figures_of_both_programs(script):
  cells = row(script, FOUND, FOUND | {"needed_gib": 3.0, "clips_per_s": 9000.0})
  assert cells == [
    *("`configs/gait3d.py:swingait`", "128 x 30", "bfloat16"),
    *("5.90", "0.40", "5.50", "4.40", "49.0"),
    *("22.3", "59.8", "memory", "2,140", "3.00", "9,000"),
  ]
  assert len(cells) == len(script._COLUMNS)


def test_what_does_not_fit_is_set_off(script):
  refused = dict(
    clips=64, frames=720, dtype="float32", fits=False, needed_gib=20.1
  )
  cells = row(script, FOUND | {"fits": False}, refused)
  assert cells[3] == "**5.90**"
  assert cells[-2:] == ["**20.10**", "-"]


def test_what_is_there_is_not_compiled_again(tmp_path):
  calls, python = tmp_path / "calls", tmp_path / "python"
  python.write_text(PYTHON.format(calls=str(calls), found=FOUND))
  python.chmod(0o755)

  def run(*args):
    return command.run(
      f"--workdir={tmp_path / 'results'}",
      f"--gpu_python={python}",
      f"--tpu_python={python}",
      "--targets=v5e:2x4,h100",
      "--recipes=gaitset_grew,gait3d",
      "--smoke",
      *args,
      program=DESCRIBE,
      PATH=os.environ["PATH"],
    )

  done = run()
  assert done.returncode == 2
  assert done.stderr.count("error: it broke") == 2
  assert done.stderr.endswith("error: 2 of 4 were not compiled: above\n")
  asked = calls.read_text().splitlines()
  # Graphics cards first, and of these the small network.
  assert [line.split()[1] for line in asked] == (
    ["--target=h100"] * 2 + ["--target=v5e:2x4"] * 2
  )
  assert asked[0].split()[0].endswith("configs/gaitset.py:grew_smoke")
  assert asked[1].split()[0].endswith("configs/gait3d.py:smoke")
  kept = sorted(path.name for path in (tmp_path / "results").iterdir())
  assert kept == ["gait3d_smoke.h100.json", "gait3d_smoke.v5e_2x4.json"]
  found = json.loads((tmp_path / "results" / kept[0]).read_text())
  assert "distill.py:rkd_gait3d" in found["same"]

  run()
  again = calls.read_text().splitlines()[len(asked) :]
  assert len(again) == 2 and all("gaitset" in line for line in again)

  report = run("--report")
  assert report.returncode == 0, report.stderr
  assert len(calls.read_text().splitlines()) == 6
  assert report.stdout.count("| `configs/gait3d.py` | 128 x 30 |") == 2
  assert "h100: 1 x NVIDIA H100" in report.stdout


@pytest.mark.parametrize(
  "args, words",
  [
    (("--recipes=gait3",), "--recipes has 'gait3'"),
    (("--targets=v9",), "give one of"),
  ],
)
def test_one_line_and_status_2(args, words):
  assert words in command.mistake(*args, program=DESCRIBE)
