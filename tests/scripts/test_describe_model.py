"""The program that says what networks cost."""

import importlib.util
import json

import pytest

from gaitkd_jax import sharding
from gaitkd_jax.cost import devices
from gaitkd_jax.training import programs
from tests.helpers import command
from tests.helpers import configs
from tests.helpers import scripts

DESCRIBE = ("scripts/describe_model.py",)


def test_student_and_teacher_are_described():
  done = command.run(
    "--config=configs/casiab.py",
    "--config.clip.frames=12",
    "--noreceptive_field",
    program=DESCRIBE,
  )
  assert done.returncode == 0, done.stderr
  student, teacher = done.stdout.split("teacher deepgaitv2")
  assert "parameters: 7,305,408; without neck 6,994,112" in student
  assert "parameters: 8,339,392; without neck 8,028,096" in teacher
  assert "| module " in student
  assert "| 12 x 16 x 11 x 512 |" in student
  assert "backward" in student and "backward" not in teacher


@pytest.mark.slow
def test_the_layers_of_an_export_are_printed():
  done = command.run(
    "--config=configs/qgait.py:walkers_w4a8", "--plan", program=DESCRIBE
  )
  assert done.returncode == 0, done.stderr
  lines = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in done.stdout.splitlines()
    if line.startswith("| ")
  ]
  assert lines[0] == ["module", "layer", "result", "bits"]
  assert ["stem", "convolve", "frames x 8x64x44", "int8"] in lines
  kernel = ["stage3_block0/conv2", "convolve", "frames x 24x16x11", "int4"]
  assert kernel in lines
  assert ["stem/output", "quantize", "frames x 8x64x44", "0..255"] in lines
  assert lines[-1] == ["fc", "linear", "sequences x 16x32", "int8"]


def test_the_receptive_field_is_printed():
  done = command.run(
    "--config=configs/walkers_baseline.py:smoke", program=DESCRIBE
  )
  assert done.returncode == 0, done.stderr
  assert "pooling over time (frames): 1\n" in done.stdout


def test_bytes_and_products_of_a_quantised_student_are_printed():
  done = command.run(
    "--config=configs/walkers.py",
    "--config.quantization.weights=4",
    "--config.quantization.activations=8",
    "--noreceptive_field",
    program=DESCRIBE,
  )
  assert done.returncode == 0, done.stderr
  student, teacher = done.stdout.split("teacher deepgaitv2")
  assert "one clip of 10 frames, float32, W4A8\n" in student
  # Steps are in the table of bytes only.
  assert "at inference 46,408\nGMAC/frame: 0.0073\n" in student
  expected = """\
| deployed       | values |  bytes |
|---|---:|---:|
| 4 bits         | 29,504 | 14,752 |
| 8 bits         | 16,456 | 16,456 |
| float32        |    224 |    896 |
| steps, float32 |    750 |  3,000 |
| all            |        | 35,104 |
float32: 184,736 bytes, 5.26 times as many
| products | GMAC/clip |     % |
|---|---:|---:|
| W4A8     |    0.0709 | 97.20 |
| W8A8     |    0.0020 |  2.80 |
"""
  assert expected in student, student
  assert "deployed" not in teacher and "W4A8" not in teacher


@pytest.mark.parametrize(
  "args, words",
  [
    (("--config=configs/casiab.py", "--config.foo=1"), "foo"),
    (("--config=configs/casiab.py:x",), "no variant 'x'"),
    (("--config=configs/casiab.py", "--json"), "--json is of a --target"),
    (("--config=configs/casiab.py", "--target=v9"), "give one of v4:2x2x1,"),
    (
      ("--config=configs/casiab.py", "--target=h100", "--programs=test"),
      "--programs has 'test'; give train, embed",
    ),
  ],
)
def test_one_line_and_status_2(args, words):
  done = command.run(*args, program=DESCRIBE)
  assert done.returncode == 2, done.stderr
  assert words in done.stderr
  assert done.stderr.count("\n") == 1, done.stderr


@pytest.mark.skipif(
  importlib.util.find_spec("jax_plugins") is not None,
  reason="a compiler for GPUs may be installed",
)
def test_a_missing_wheel_is_one_line_and_status_2():
  line = command.mistake(
    "--config=configs/casiab.py:smoke", "--target=h100", program=DESCRIBE
  )
  assert "jax-cuda13-plugin" in line
  assert '.[cuda]"' in line


def test_devices_that_cannot_share_a_batch_are_one_line_and_status_2():
  pytest.importorskip("libtpu")
  line = command.mistake(
    "--config=configs/casiab.py:smoke",
    "--target=v5e:4x4",
    program=DESCRIBE,
    JAX_PLATFORMS="",
  )
  assert "8 clips cannot be split over 16 devices" in line


@pytest.mark.slow
def test_a_recipe_is_compiled_for_a_tpu():
  pytest.importorskip("libtpu")
  args = ("--config=configs/walkers_baseline.py:smoke", "--target=v5e:2x4")
  out = command.output(*args, "--json", program=DESCRIBE, JAX_PLATFORMS="")
  train, embed = map(json.loads, out.splitlines())
  assert (train["program"], embed["program"]) == ("train", "embed")
  assert (train["clips"], train["frames"]) == (8, 6)
  assert (embed["clips"], embed["frames"]) == (8, 12)
  for found in (train, embed):
    assert found["config"] == "configs/walkers_baseline.py:smoke"
    assert found["devices"] == 8
    assert found["fits"] and not found["advice"]
    # XLA counts more than products, and those of padding less.
    assert 0.5 < found["flops"] / found["network_flops"] < 5
    assert found["arithmetic_s"] == found["flops"] / 197e12
    assert found["memory_s"] == found["bytes"] / 819e9
    assert found["binds"] == "memory"
    assert found["clips_per_s"] == found["clips"] / found["memory_s"]


@pytest.fixture(scope="module")
def script():
  return scripts.load("describe_model")


def trial(name, **changes):
  """The programs of a trial on eight devices."""
  config = configs.load(name, "smoke")[1]
  config.update_from_flattened_dict(changes)
  return programs.create(config, sharding.create_mesh(8))


@pytest.mark.parametrize(
  "name, changes, program, expected",
  [
    (
      "casiab",
      {},
      "train",
      ["a batch of", "dtype=bfloat16", "remat", "precomputed", "16 devices"],
    ),
    ("deepgaitv2", {}, "train", ["batch of", "dtype", "remat", "16 devices"]),
    ("deepgaitv2", {"model.remat": True}, "train", ["of", "dtype", "devices"]),
    (
      "deepgaitv2",
      {"dtype": "bfloat16", "model.remat": True},
      "train",
      ["batch.identities x batch.sequences", "--target=v5e:4x4"],
    ),
    (
      "deepgaitv2",
      {"dtype": "bfloat16"},
      "embed",
      ["eval.batch_size", "eval.max_frames", "--target=v5e:4x4"],
    ),
    (
      "casiab",
      {"teachers.deepgaitv2.cache": "x", "dtype": "bfloat16"},
      "train",
      ["a batch of about 64 clips", "remat", "--target=v5e:4x4"],
    ),
  ],
)
def test_advice_is_what_the_config_can_change(
  script, name, changes, program, expected
):
  target = devices.find_target("v5e:2x4")
  found = script.advice(
    trial(name, **changes), target, program, fitting=64, clips=128
  )
  assert len(found) == len(expected), found
  for line, words in zip(found, expected, strict=True):
    assert words in line


@pytest.mark.parametrize(
  "clips, fitting, target",
  [
    (128, 64, "v5e:4x4"),
    (128, 32, "v5e:4x8"),
    (128, 31, None),  # more than the table has
    (120, 56, None),  # 16 and 32 devices cannot share it
    (128, 0, None),
    (128, None, None),
  ],
)
def test_the_fewest_devices_that_help_are_named(script, clips, fitting, target):
  lines = script.advice(
    trial("deepgaitv2"),
    devices.find_target("v5e:2x4"),
    "train",
    fitting,
    clips,
  )
  named = [line for line in lines if "--target" in line]
  assert len(named) == (target is not None)
  assert not named or f"--target={target})" in named[0]


FOUND = dict(
  program="train",
  clips=128,
  frames=30,
  dtype="bfloat16",
  usable_gib=15.75,
  network_flops=4.3e12,
  needed_gib=5.9,
  arguments_gib=0.4,
  temporaries_gib=5.5,
  flops=4.4e12,
  bytes=49e9,
  arithmetic_s=0.0223,
  memory_s=0.0598,
  binds="memory",
  clips_per_s=2140.0,
  compile_s=150.0,
  fits=True,
  fitting_clips=340,
  advice=[],
)


def test_a_program_that_fits_is_told_in_lines(script):
  lines = script.target_text(FOUND)
  assert lines == [
    "training step, 128 clips of 30 frames, bfloat16; a device:",
    "  memory: fits, 5.90 of 15.75 GiB (arguments 0.40, temporaries 5.50); "
    "about 340 clips would fit",
    "  arithmetic: 4.400 TFLOP (the networks' own 4.300), at least 22.30 ms",
    "  memory traffic: 49.00 GB, at least 59.80 ms",
    "  bound by memory: at most 2,140 clips/s on all devices (compiled in "
    "150 s)",
  ]
  far = script.target_text(FOUND | {"fitting_clips": 9999})
  assert far[1].endswith("more than 20 times the clips would fit")


def test_a_program_that_is_refused_comes_with_advice(script):
  unknown = ("flops", "bytes", "arithmetic_s", "memory_s", "arguments_gib")
  found = {key: value for key, value in FOUND.items() if key not in unknown}
  found |= dict(fits=False, needed_gib=20.1, advice=["a", "b"])
  first, second = script.target_text(found)
  assert first.startswith("training step")
  assert second == (
    "  memory: DOES NOT FIT, 20.10 of 15.75 GiB; what helps: a; b"
  )
