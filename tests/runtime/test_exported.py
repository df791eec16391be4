"""The runtime embeds as the graph says, and refuses in one line."""

import subprocess
import sys

import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax import runtime
from gaitkd_jax.runtime import processor
from tests.helpers import onnx_files
from tests.helpers import paths


@pytest.fixture(scope="module")
def file(tmp_path_factory):
  return onnx_files.write(tmp_path_factory.mktemp("onnx") / "strips.onnx")


@pytest.fixture(scope="module")
def network(file):
  return runtime.load(file, threads=1)


def walks(*lengths):
  rng = np.random.default_rng(0)
  return [rng.integers(0, 250, (s, 64, 44), np.uint8) for s in lengths]


def test_sequences_of_any_lengths_keep_their_order(network):
  listed = walks(7, 1, 30, 30, 3, 65, 2)
  wanted = np.stack([onnx_files.expected(x) for x in listed])
  for batch_size in (1, 2, 16):
    found = network.embed(listed, batch_size=batch_size)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
  assert network.embed([]).shape == (0, 16, 2)


def test_frames_beyond_a_length_change_nothing(network):
  padded = np.full((2, 9, 64, 44), 255, np.uint8)
  listed = walks(4, 9)
  for row, sequence in zip(padded, listed, strict=True):
    row[: len(sequence)] = sequence
  wanted = np.stack([onnx_files.expected(x) for x in listed])
  for found in (
    network.embed(padded, [4, 9]),
    network.run(padded, np.array([4, 9])),
  ):
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
  whole = network.embed(padded)
  assert (whole[0] != wanted[0]).all() and (whole[1] == found[1]).all()


def test_few_lengths_are_run(network, monkeypatch):
  shapes = set()
  run = network.run
  monkeypatch.setattr(
    network, "run", lambda x, n: (shapes.add(x.shape[1]), run(x, n))[1]
  )
  network.embed(walks(*range(17, 65)), batch_size=1)
  assert shapes == {18, 20, 22, 24, 26, 28, 30, 32, *range(36, 65, 4)}
  shapes.clear()
  network.embed(walks(33, 33), batch_size=2)  # nothing to pad
  assert shapes == {33}


def test_it_says_what_it_is(network, file):
  assert network.metadata["network"] == "strips"
  assert network.shape == (16, 2) and network.frame_shape == (64, 44)
  assert network.threads == 1 and not network.note
  assert len(network.digest) == 64
  assert network.kernels["ReduceMax"] == 1 and "Conv" not in network.kernels
  assert not list(file.parent.glob("*.json"))


@pytest.mark.parametrize(
  "silhouettes, words",
  [
    (walks(3)[0].astype(np.float32)[None], "float32"),
    (walks(3)[0], r"\[n, s, 64, 44\]"),
    (np.zeros((1, 3, 64, 64), np.uint8), "shape"),
    (np.zeros((1, 0, 64, 44), np.uint8), "no frames"),
    ([np.zeros((0, 64, 44), np.uint8)], "no frames"),
    ([[1, 2]], "list"),
    ([walks(3)[0][None]], r"\[s, 64, 44\]"),
  ],
)
def test_what_it_cannot_read_is_refused(network, silhouettes, words):
  with pytest.raises(errors.UserError, match=words) as e:
    network.embed(silhouettes)
  assert "\n" not in str(e.value)


@pytest.mark.parametrize("lengths", [[0], [4], [1, 1], [1.0], ["a"], 2, [[1]]])
def test_lengths_that_cannot_be_are_refused(network, lengths):
  with pytest.raises(errors.UserError, match="lengths are") as e:
    network.embed(np.stack(walks(3)), lengths)
  assert "\n" not in str(e.value)
  with pytest.raises(errors.UserError, match="lengths"):
    network.embed(walks(3), [3])
  with pytest.raises(errors.UserError, match="batch_size"):
    network.embed(walks(3), batch_size=0)


def test_files_of_others_are_refused(file, tmp_path):
  content = file.read_bytes()
  files = {
    "absent": (None, "No such file"),
    "empty": (b"", "damaged"),
    "text": (b"no graph at all", "damaged"),
    "truncated": (content[: len(content) // 2], "damaged"),
  }
  for name, (written, words) in files.items():
    path = tmp_path / name
    if written is not None:
      path.write_bytes(written)
    with pytest.raises(errors.UserError, match=words) as e:
      runtime.load(path)
    assert "\n" not in str(e.value) and str(path) in str(e.value)
  foreign = tmp_path / "foreign.onnx"
  foreign.write_bytes(onnx_files.graph().SerializeToString())
  with pytest.raises(errors.UserError, match="not written by"):
    runtime.load(foreign)
  newer = onnx_files.write(tmp_path / "newer.onnx", format=2)
  with pytest.raises(errors.UserError, match="format 2"):
    runtime.load(newer)
  with pytest.raises(errors.UserError, match="no NoExecutionProvider"):
    runtime.load(file, providers=["NoExecutionProvider"])


def test_too_few_frames_are_refused(tmp_path):
  path = onnx_files.write(tmp_path / "three.onnx", min_frames=3)
  network = runtime.load(path, threads=1)
  assert network.run(np.zeros((1, 3, 64, 44), np.uint8)).shape == (1, 16, 2)
  with pytest.raises(errors.UserError, match="3 frames or more"):
    network.run(np.zeros((1, 2, 64, 44), np.uint8))
  # A list is padded.
  (short,) = walks(2)
  found = network.embed([short])
  np.testing.assert_allclose(found[0], onnx_files.expected(short), rtol=1e-6)


INT8 = {"weights": 8, "activations": 8}


@pytest.mark.parametrize(
  "changes, saturates, exact",
  [
    (dict(bits=INT8, weights_within=127), True, True),
    (dict(bits=INT8, weights_within=None), True, True),
    (dict(bits=INT8, weights_within=63), True, False),
    (dict(bits=INT8, weights_within=127), False, False),
    (dict(bits={}, weights_within=None), True, False),
  ],
)
def test_sums_are_exact_where_the_processor_would_cut_them(
  tmp_path, monkeypatch, caplog, changes, saturates, exact
):
  monkeypatch.setattr(processor, "saturates", lambda: saturates)
  path = onnx_files.write(tmp_path / "int8.onnx", **changes)
  network = runtime.load(path, threads=1)
  options = network._run.get_session_options()
  if exact:
    key = "session.x64quantprecision"
    assert options.get_session_config_entry(key) == "1"
  assert bool(network.note) == exact
  assert ("x64quantprecision" in caplog.text) == exact
  assert caplog.text.count("\n") == exact


def test_a_graph_for_tensorrt_is_run_as_it_is(tmp_path, file):
  path = onnx_files.write(tmp_path / "trt.onnx", target="tensorrt")
  network = runtime.load(path, threads=1)
  assert "without optimisations" in network.note
  (sequence,) = walks(3)
  np.testing.assert_allclose(
    network.embed([sequence])[0], onnx_files.expected(sequence), rtol=1e-6
  )


@pytest.mark.parametrize(
  "machine, text, expected",
  [
    ("x86_64", "flags\t\t: fpu avx2\nbugs : avx_vnni\n", True),
    ("x86_64", "flags\t\t: fpu avx2 avx_vnni\n", False),
    ("AMD64", "flags\t\t: avx512f avx512_vnni\n", False),
    ("x86_64", None, True),
    ("aarch64", "Features : asimd\n", False),
    ("arm64", None, False),
  ],
)
def test_which_processors_cut_sums(
  monkeypatch, tmp_path, machine, text, expected
):
  path = tmp_path / "cpuinfo"
  if text is not None:
    path.write_text(text)
  monkeypatch.setattr(processor, "_CPUINFO", path)
  monkeypatch.setattr(processor.platform, "machine", lambda: machine)
  assert processor.saturates() is expected
  assert processor.name()


ALONE = """
import sys
class Refuse:
  def find_spec(self, name, path=None, target=None):
    if name.partition(".")[0] in {names!r}:
      raise ImportError(name + " is refused")
sys.meta_path.insert(0, Refuse())
import numpy as np
from gaitkd_jax import runtime
"""
HEAVY = ("jax", "jaxlib", "flax", "tensorflow", "orbax", "onnx", "etils")


def run(code):
  return subprocess.run(
    [sys.executable, "-c", code],
    cwd=paths.ROOT,
    capture_output=True,
    text=True,
  )


def test_nothing_heavy_is_imported(file):
  code = ALONE.format(names=HEAVY) + (
    f"network = runtime.load({str(file)!r})\n"
    "print(network.embed([np.zeros((2, 64, 44), np.uint8)]).shape)\n"
    "print(network.kernels['ReduceMax'])\n"
  )
  done = run(code)
  assert done.returncode == 0, done.stderr
  assert done.stdout == "(1, 16, 2)\n1\n"


def test_without_onnxruntime_it_says_what_to_install(file):
  code = ALONE.format(names=("onnxruntime",)) + (
    "from gaitkd_jax import errors\n"
    f"try:\n  runtime.load({str(file)!r})\n"
    "except errors.UserError as e:\n  print(e)\n"
  )
  done = run(code)
  assert done.returncode == 0, done.stderr
  assert "pip install '.[export]'" in done.stdout
  assert done.stdout.count("\n") == 1
