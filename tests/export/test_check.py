"""What a written file is compared by."""

import dataclasses

import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.export import check
from gaitkd_jax.export import runners
from gaitkd_jax.export import silhouettes
from gaitkd_jax.runtime import processor
from tests.helpers import onnx_files

RESULT = check.Result(
  data="walkers",
  lengths=(1, 2, 3),
  cosine=1.0,
  difference=0.0,
  bytes=1,
  milliseconds=1.0,
  frames=3,
  runs=1,
  runtime="none",
  threads=1,
  processor="none",
  kernels={},
  note="",
)


def test_tensorrt_has_half_as_many_steps():
  result = dataclasses.replace(RESULT, cosine=0.995)
  check.check(result, True, "tensorrt")
  for target in ("ort", "openvino"):
    with pytest.raises(errors.UserError, match="not above 0.999"):
      check.check(result, True, target)


@pytest.mark.parametrize(
  "target, saturates, words",
  [
    ("openvino", True, "processors without VNNI"),
    ("openvino", False, "bug of the export"),
    ("ort", True, "bug of the export"),
  ],
)
def test_openvino_needs_vnni(monkeypatch, target, saturates, words):
  monkeypatch.setattr(processor, "saturates", lambda: saturates)
  with pytest.raises(errors.UserError, match=words):
    check.check(dataclasses.replace(RESULT, cosine=0.96), True, target)


def test_fewer_bits_have_larger_steps():
  result = dataclasses.replace(RESULT, cosine=0.995)
  check.check(result, True, "ort", activations=4)
  with pytest.raises(errors.UserError, match="not above 0.999"):
    check.check(result, True, "ort", activations=8)
  with pytest.raises(errors.UserError, match="not above 0.99 "):
    check.check(
      dataclasses.replace(result, cosine=0.98), True, "ort", activations=4
    )


@pytest.mark.parametrize(
  "quantized, changes, fits",
  [
    (False, dict(difference=9e-6), True),
    (False, dict(difference=2e-5), False),
    (False, dict(difference=float("nan")), False),
    (True, dict(cosine=0.9991, difference=0.05), True),
    (True, dict(cosine=0.9989), False),
    (True, dict(cosine=float("nan")), False),
  ],
)
def test_bounds(quantized, changes, fits):
  result = dataclasses.replace(RESULT, **changes)
  if fits:
    check.check(result, quantized)
    return
  with pytest.raises(errors.UserError, match="the file was removed"):
    check.check(result, quantized)


def test_the_worst_part_counts():
  wanted = np.random.default_rng(0).standard_normal((3, 4, 8))
  found = wanted.copy()
  assert check.least_cosine(found, wanted) == pytest.approx(1)
  assert check.relative_difference(found, wanted) == 0
  found[1, 2] *= -1
  assert check.least_cosine(found, wanted) == pytest.approx(-1)
  largest = np.abs(wanted).max()
  difference = 2 * np.abs(wanted[1, 2]).max() / largest
  assert check.relative_difference(found, wanted) == pytest.approx(difference)
  found[:], wanted[:] = 0, 0
  assert check.least_cosine(found, wanted) == 1
  found[0, 0, 0] = 1
  assert check.least_cosine(found, wanted) == 0


@pytest.mark.parametrize("target", ["float", "tensorrt", "openvino"])
def test_a_file_is_run_padded_and_alone(tmp_path, target):
  path = onnx_files.write(tmp_path / "strips.onnx")
  clips = silhouettes.walkers(1, many=False)
  three = clips.three_lengths()
  wanted = np.stack([onnx_files.expected(x) for x in three])
  # The first is right; of the second, only the longest is.
  found = check.measure(path, target, three, wanted, clips.one_clip(), "data")
  assert found.difference < 1e-6 and found.cosine > 0.999999
  assert found.lengths == (16, 32, 65) and found.frames == 30
  assert found.bytes == path.stat().st_size and found.kernels
  name = "OpenVINO" if target == "openvino" else "ONNX Runtime"
  assert found.runtime.startswith(name)
  assert any("cosine at least 1.0" in line for line in found.lines())
  wanted[0, 3, 0] += 0.5
  found = check.measure(path, target, three, wanted, clips.one_clip(), "data")
  assert found.difference > 0.1


def test_another_shape_is_no_match(tmp_path):
  path = onnx_files.write(tmp_path / "strips.onnx")
  clips = silhouettes.walkers(1, many=False)
  with pytest.raises(errors.UserError, match="bug of the export"):
    check.measure(
      path,
      "float",
      clips.three_lengths(),
      np.zeros((3, 4, 2), np.float32),
      clips.one_clip(),
      "data",
    )


def test_openvino_reports_nothing_to_its_maker():
  import sys

  runners.import_openvino()
  assert sys.modules["openvino_telemetry"] is None
