"""Exported programs are run in processes that have JAX and nothing of ours."""

import json
import os
import re
import subprocess
import sys
import zipfile

import jax
import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.export import stablehlo
from gaitkd_jax.models import conv_layer
from gaitkd_jax.models import inputs
from gaitkd_jax.quantize import uniform
from tests.helpers import command
from tests.helpers import networks
from tests.helpers import quantized
from tests.helpers.paths import ROOT

W8A8 = dict(weights=8, activations=8)
FEW = ((2, 3),)
MORE = ((1, 1), (3, 2), (2, 5), (1, 7))
# Embeds all clips of clips.npz. This library and Flax cannot be imported.
RUN = """
import sys
sys.modules.update(gaitkd_jax=None, flax=None, tensorflow=None)
import zipfile
import jax
from jax import export
import numpy as np
with zipfile.ZipFile("student.stablehlo") as file:
  program = export.deserialize(bytearray(file.read("program.bin")))
clips, call, out = np.load("clips.npz"), jax.jit(program.call), {}
for name in clips:
  kind, _, which = name.partition("_")
  if kind == "lengths":
    x = clips["silhouettes_" + which.partition("_")[0]]
    out[which] = np.asarray(call(x, clips[name]))
np.savez("embeddings.npz", **out)
"""


def run(code, folder):
  """Runs code in a fresh process that starts in `folder`."""
  path = [p for p in sys.path if p != str(ROOT)]
  return subprocess.run(
    [sys.executable, "-c", code],
    cwd=folder,
    capture_output=True,
    text=True,
    env={
      "JAX_PLATFORMS": "cpu",
      "PATH": "",
      "HOME": str(folder),
      "XLA_FLAGS": command.QUICK,
      "PYTHONPATH": os.pathsep.join(path),
    },
  )


def network(name, **quantization):
  """A network and variables at which nothing is small."""
  module = quantized.small(name, **quantization)
  variables = networks.random_variables(module)
  if quantization:
    variables = jax.jit(
      lambda v, x: quantized.with_observed_steps(module, v, x)
    )(variables, quantized.silhouettes(module))
  return module, variables


def clips_of(module, sizes):
  """Silhouettes by `n`x`s`, and all-valid and shorter lengths of each."""
  rng = np.random.default_rng(3)
  c = module.in_channels
  arrays = {}
  for n, s in sizes:
    shape = (n, s, 64, 44) + ((c,) if c > 1 else ())
    arrays[f"silhouettes_{n}x{s}"] = rng.integers(0, 256, shape, np.uint8)
    shorter = 1 + np.arange(n) % s
    arrays[f"lengths_{n}x{s}_whole"] = np.full(n, s, np.int32)
    arrays[f"lengths_{n}x{s}_padded"] = shorter.astype(np.int32)
  return arrays


def check_equal(name, folder, sizes, off=0.0, **quantization):
  """Checks a program, run elsewhere, against `jax.jit(module.apply)`.

  Args:
    name: of the network.
    folder: takes the program.
    sizes: of clips.
    off: by how much of the largest entry it may differ.
    **quantization: of the network.
  """
  module, variables = network(name, **quantization)
  stablehlo.write(module, variables, {}, folder / "student.stablehlo")
  clips = clips_of(module, sizes)
  np.savez(folder / "clips.npz", **clips)
  done = run(RUN, folder)
  assert done.returncode == 0, done.stderr

  @jax.jit
  def embed(variables, silhouettes, lengths):
    pixels = inputs.scale(silhouettes)
    return module.apply(variables, pixels, lengths)["retrieval"]

  found = np.load(folder / "embeddings.npz")
  assert len(found) == 2 * len(sizes)
  for which in found:
    x = clips["silhouettes_" + which.partition("_")[0]]
    wanted = embed(variables, x, clips[f"lengths_{which}"])
    assert found[which].dtype == np.float32
    assert np.ptp(found[which]) > 0.1
    most = off * np.abs(wanted).max()
    assert np.abs(found[which] - wanted).max() <= most, f"{name} {which}"


@pytest.mark.parametrize(
  ("name", "quantization"),
  [("gaitbase_plain", W8A8), ("gaitset", {}), ("gaitgl", {})],
  ids=lambda x: x if isinstance(x, str) else "w8a8" if x else "float",
)
def test_a_program_equals_the_network_to_the_bit(name, quantization, tmp_path):
  check_equal(name, tmp_path, FEW, **quantization)


@pytest.mark.slow
@pytest.mark.parametrize(
  ("name", "quantization"),
  [
    ("deepgaitv2-p3d", W8A8),
    ("gaitpart", {}),
    ("swingait", W8A8),
  ],
  ids=lambda x: x if isinstance(x, str) else "w8a8" if x else "float",
)
def test_further_networks_equal_their_programs(name, quantization, tmp_path):
  # XLA sums GaitPart's in another order on processors with AVX2 alone.
  off = 1e-6 if name == "gaitpart" else 0.0
  check_equal(name, tmp_path, MORE, off, **quantization)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
  """A program, and the network that it is of."""
  path = tmp_path_factory.mktemp("written") / "student.stablehlo"
  module, variables = network("gaitbase")
  stablehlo.write(module, variables, {"metric": "euclidean"}, path)
  return path, module, variables


def test_a_program_is_for_every_platform_and_any_batch(written):
  path, _, _ = written
  program, metadata = stablehlo.read(path)
  assert metadata == {"metric": "euclidean"}
  assert program.platforms == ("cpu", "cuda", "tpu")
  assert [str(x) for x in program.in_avals] == [
    "uint8[n,s,64,44]",
    "int32[n]",
  ]
  assert [str(x) for x in program.out_avals] == ["float32[n,16,16]"]


def test_a_network_of_several_channels_takes_them_last():
  module, variables = network("skeletongaitpp")
  program = stablehlo.export_network(module, variables)
  assert str(program.in_avals[0]) == "uint8[n,s,64,44,3]"


def test_the_example_runs_without_this_library(written):
  path, _, _ = written
  page = (ROOT / "docs" / "export_stablehlo.md").read_text()
  blocks = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
  [example] = [block for block in blocks if "deserialize" in block]
  hide = "import sys\nsys.modules.update(gaitkd_jax=None, flax=None)\n"
  done = run(hide + example, path.parent)
  assert done.returncode == 0, done.stderr
  assert done.stdout == "(2, 16, 16) euclidean\n"


def test_the_same_network_makes_the_same_bytes(written, tmp_path):
  path, module, variables = written
  stablehlo.write(
    module, variables, {"metric": "euclidean"}, tmp_path / "again"
  )
  assert (tmp_path / "again").read_bytes() == path.read_bytes()
  assert [file.name for file in tmp_path.iterdir()] == ["again"]


def test_a_program_holds_what_a_search_needs(written):
  path, module, variables = written
  assert module.num_classes == 3
  neck = variables["params"].pop("neck")
  size = sum(x.nbytes for x in jax.tree.leaves(variables["params"]))
  variables["params"]["neck"] = neck
  content = path.read_bytes()
  assert size < len(content) < size + 30_000  # the rest is the program itself
  kernel = np.asarray(variables["params"]["stem"]["kernel"])
  assert kernel.tobytes() in content
  assert np.asarray(neck["kernel"]).tobytes() not in content


def test_a_program_names_no_file_of_this_machine(written):
  path, _, _ = written
  assert jax.config.jax_traceback_in_locations_limit
  for text in (str(ROOT), "conv_layer.py", str(path.parent)):
    assert text.encode() not in path.read_bytes()


def test_what_needs_to_know_the_frames_is_refused(monkeypatch):
  whole = conv_layer.ConvLayer._convolve
  monkeypatch.setattr(
    conv_layer.ConvLayer,
    "_convolve",
    lambda layer, x, kernel, frames: whole(
      layer, x * (1 if frames < 2 else 2), kernel, frames
    ),
  )
  with pytest.raises(errors.UserError) as e:
    stablehlo.export_network(*network("gaitbase"))
  text = str(e.value)
  assert text.startswith("GaitBase cannot be exported for any number of frames")
  assert "its module stem (ConvLayer) has to know the number" in text
  assert "\n" not in text


def test_a_mistake_in_a_network_is_no_mistake_of_its_user(written):
  _, module, variables = written
  missing = {"params": {}, "batch_stats": variables["batch_stats"]}
  with pytest.raises(Exception, match="stem") as e:
    stablehlo.export_network(module, missing)
  assert not isinstance(e.value, errors.UserError)


def _damaged(content):
  program = content.index(b"program.bin") + 1000
  yield "empty", b"", "File is not a zip file"
  yield "cut", content[: len(content) // 2], "File is not a zip file"
  flipped = bytearray(content)
  flipped[program] ^= 1
  yield "flipped", bytes(flipped), "Bad CRC-32 for file 'program.bin'"


def test_damaged_files_are_told_in_one_line(written, tmp_path):
  for name, content, why in _damaged(written[0].read_bytes()):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(errors.UserError) as e:
      stablehlo.read(path)
    assert str(e.value) == (
      f"{path} is no program of --target=stablehlo, or damaged ({why}); export "
      "the checkpoint again"
    )


@pytest.mark.parametrize(
  ("members", "why"),
  [
    ({"metadata.json": "{}"}, "There is no item named 'program.bin'"),
    ({"metadata.json": "[]", "program.bin": ""}, "metadata.json is no object"),
    ({"metadata.json": "{", "program.bin": ""}, "Expecting property name"),
    ({"metadata.json": "{}", "program.bin": "x" * 99}, "cannot be run by JAX"),
  ],
)
def test_other_archives_are_told_in_one_line(members, why, tmp_path):
  path = tmp_path / "other.zip"
  with zipfile.ZipFile(path, "w") as archive:
    for name, content in members.items():
      archive.writestr(name, content)
  with pytest.raises(errors.UserError) as e:
    stablehlo.read(path)
  assert str(path) in str(e.value) and why in str(e.value)
  assert "\n" not in str(e.value)


def test_no_file_is_told_in_one_line(tmp_path):
  with pytest.raises(errors.UserError, match="No such file or directory"):
    stablehlo.read(tmp_path / "none")


def test_a_file_that_cannot_be_written_is_told_and_none_is_left(
  written, tmp_path
):
  _, module, variables = written
  (tmp_path / "file").write_text("")
  with pytest.raises(errors.UserError, match="cannot be written"):
    stablehlo.write(module, variables, {}, tmp_path / "file" / "student")
  with pytest.raises(ValueError, match="JSON"):
    stablehlo.write(module, variables, {"eer": np.inf}, tmp_path / "student")
  assert os.listdir(tmp_path) == ["file"]


def test_metadata_are_json_that_is_read_without_this_library(written):
  with zipfile.ZipFile(written[0]) as archive:
    assert archive.namelist() == ["metadata.json", "program.bin"]
    assert {i.compress_type for i in archive.infolist()} == {zipfile.ZIP_STORED}
    assert json.loads(archive.read("metadata.json")) == {"metric": "euclidean"}


def test_a_factor_of_a_symbolic_number_is_that_of_the_number():
  """Of programs that are exported with their gradient."""
  grid = uniform.signed(8)
  [s] = jax.export.symbolic_shape("s")
  program = jax.export.export(
    jax.jit(lambda x: uniform.lsq_factor(5 * x.shape[0], grid) * x[:1])
  )(jax.ShapeDtypeStruct((s,), np.float32))
  found = program.call(np.ones(7, np.float32))
  np.testing.assert_allclose(found, uniform.lsq_factor(35, grid), rtol=1e-6)
