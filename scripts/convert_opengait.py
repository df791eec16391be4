"""Converts OpenGait's checkpoints (.pt) to this library's, or one back.

python scripts/convert_opengait.py --input=GaitBase-60000.pt \
  --config=configs/gaitbase.py:casiab --output=runs/opengait_gaitbase
python scripts/convert_opengait.py --zoo=<OpenGait's zoo> --output=runs/zoo

The network is that of `--config` or of OpenGait's own YAML,
`--opengait_config=gaitbase.yaml`. The result serves as
`--config.eval.checkpoint` or as a teacher's checkpoint. With `--reverse` the
input is a workdir or a checkpoint of this library, the output a .pt that
OpenGait loads. PyTorch is needed for neither.

`--zoo` is a local copy of OpenGait's zoo or any part of it, files
<data set>/<network>/<save_name>/checkpoints/<save_name>-<step>.pt. All are
converted, each to the workdir <output>/<data set>/<network>/<save_name>; the
network is inferred from the weights, and what names and recipes say otherwise
is told. What is converted already is not done again; a file that cannot be
converted does not stop the others, but the status is 2. A network that the
library lacks is named, and is no failure.

Nothing in a .pt is run: its pickle is interpreted, and what is no tensor, dict
or number is refused by name. A .npz of the state dict is read as well.
"""

import collections
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import pathlib
import re
from typing import Any
import zipfile
import zlib

from absl import flags
import jax
from ml_collections import config_flags
import numpy as np
import numpy.typing as npt

from gaitkd_jax import checkpoint
from gaitkd_jax import cli
from gaitkd_jax import config as config_lib
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax import storage
from gaitkd_jax.opengait import config as opengait_config
from gaitkd_jax.opengait import convert
from gaitkd_jax.opengait import torch_file
from gaitkd_jax.opengait import torch_writer
from gaitkd_jax.opengait import zoo

_INPUT = flags.DEFINE_string(
  "input", None, "the .pt or .npz; reversed: a workdir"
)
_ZOO = flags.DEFINE_string("zoo", None, "a folder of .pt, in place of --input")
_OUTPUT = flags.DEFINE_string(
  "output",
  None,
  "new folder; reversed: a new .pt or .npz; of a zoo: a folder of workdirs",
  required=True,
)
_REVERSE = flags.DEFINE_bool("reverse", False, "from this library to OpenGait")
_OPENGAIT = flags.DEFINE_string(
  "opengait_config", None, "OpenGait's YAML, in place of --config"
)
_CONFIG = config_flags.DEFINE_config_file("config", lock_config=True)
_ROOT = pathlib.Path(__file__).resolve().parent.parent
# Files of configs/ that train one network each.
_RECIPES = (
  *("gaitbase", "deepgaitv2", "skeletongait", "skeletongaitpp"),
  *("swingait", "gaitset", "gaitpart", "gaitgl", "foundationgait"),
)
# What the layers of one module add to its name.
_LAYER = re.compile(r"_(bn|(block|conv|layer)\d+)$")


def model_config() -> dict[str, Any]:
  """The network that the flags name."""
  if _OPENGAIT.value is None:
    if _CONFIG.value is None:
      raise errors.UserError(
        "no network is named; give --config=configs/x.py or OpenGait's YAML, "
        "--opengait_config=x.yaml"
      )
    return cli.config(_CONFIG).model.to_dict()
  if _CONFIG.value is not None:
    raise errors.UserError(
      "--config and --opengait_config both name a network; give one"
    )
  model = opengait_config.read(_OPENGAIT.value)
  print("model:", ", ".join(f"{key}={value}" for key, value in model.items()))
  return model


@contextlib.contextmanager
def open_state(
  path: pathlib.Path,
) -> Iterator[tuple[Mapping[str, npt.ArrayLike], int]]:
  """Opens the arrays of a checkpoint's model, and yields its step as well."""
  if not path.is_file():
    raise errors.UserError(f"--input {path} is not a file")
  if path.suffix == ".npz":
    yield _read_npz(path), 0
    return
  with torch_file.open_checkpoint(path) as opened:
    yield opened.state, opened.step


def _read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
  try:
    with np.load(path, allow_pickle=False) as f:
      return {key: f[key] for key in f.files}
  except (
    *(AttributeError, EOFError, OSError, TypeError, ValueError),
    *(zipfile.BadZipFile, zlib.error),
  ) as e:
    raise errors.UserError(f"--input {path} cannot be read: {e}") from e


def write_state(
  path: pathlib.Path, state: Mapping[str, np.ndarray], step: int
) -> None:
  """Writes what OpenGait loads; a .npz holds only the arrays."""
  path.parent.mkdir(parents=True, exist_ok=True)
  if path.suffix == ".npz":
    np.savez(path, **state)
  else:
    torch_writer.write(path, state, step)


def from_opengait(source: storage.Path, output: storage.Path) -> None:
  """Converts OpenGait's file to a checkpoint of this library."""
  if storage.names(output) or storage.exists(output) and not output.is_dir():
    raise errors.UserError(f"--output {output} exists; give a new folder")
  model = model_config()
  if not storage.exists(source):
    raise errors.UserError(f"--input {source} is not a file")
  if storage.is_remote(output):
    storage.check_writable(output, "--output")
  with open_state(storage.fetch(source)) as (state, step):
    variables = convert.variables_from_opengait(state, model)
  checkpoint.save_model(
    output / "checkpoints", variables, {"model": model}, step
  )
  print_modules(variables)
  print("left out:", count_ignored(state, model))
  if wrapped := sum(key.startswith("module.") for key in state):
    print(f"prefix module. dropped from {wrapped} keys")
  print_head(variables["params"], model)
  print("written:", output / "checkpoints" / str(step))


def to_opengait(source: storage.Path, output: storage.Path) -> None:
  """Converts a checkpoint of this library to OpenGait's file."""
  if storage.exists(output):
    raise errors.UserError(f"--output {output} exists; give a new file")
  if output.suffix not in (".pt", ".npz"):
    raise errors.UserError(f"--output {output} must end with .pt or .npz")
  model = model_config()
  variables = checkpoint.restore_model(
    source,
    models.abstract_variables(models.create_model(model)),
    sharding.replicated(sharding.create_mesh(1)),
  )
  step = checkpoint.restored_step(source)
  state = convert.variables_to_opengait(variables, model)
  if storage.is_remote(output):
    local = storage.scratch() / output.name
    write_state(local, state, step)
    storage.write_bytes(output, local.read_bytes())
  else:
    write_state(output, state, step)
  print_modules(variables)
  print("added:", count_ignored(state, model))
  print_head(variables["params"], model)
  print(f"written: {output}, iteration {step}")


def convert_zoo(folder: pathlib.Path, output: storage.Path) -> None:
  """Converts all files of a copy of OpenGait's zoo."""
  if _CONFIG.value is not None or _OPENGAIT.value is not None:
    raise errors.UserError(
      "--zoo infers the networks; leave out --config and --opengait_config"
    )
  if not storage.is_remote(output) and output.exists() and not output.is_dir():
    raise errors.UserError(f"--output {output} is no folder; give a folder")
  if storage.is_remote(output):
    storage.check_writable(output, "--output")
  rows = zoo.convert_all(folder, output, recipes())
  print(zoo.table(rows))
  print(
    "Weights do not tell whether OpenGait searched embed_1 or embed_2 "
    "(use_emb2 of its YAML): --config.model.retrieval is that of the recipe"
  )
  if failed := [row.name for row in rows if row.outcome == "failed"]:
    raise errors.UserError(
      f"{len(failed)} of {len(rows)} files could not be converted, such as "
      f"{failed[0]}; the table above says why. The same command skips what is "
      "converted"
    )


def recipes() -> list[zoo.Recipe]:
  """The recipes of all published networks."""
  found = []
  for name in _RECIPES:
    path = _ROOT / "configs" / f"{name}.py"
    for variant in config_lib.load_module(path).VARIANTS:
      c = config_lib.load(path, variant)
      flag = f"configs/{name}.py:{variant}"
      found.append(zoo.Recipe(flag, c.data.name, c.model.to_dict()))
  return found


def count_ignored(state: Mapping[str, Any], model: Mapping[str, Any]) -> str:
  """What of OpenGait's has no place here, in words."""
  counts = convert.ignored(state, model)
  return (
    ", ".join(f"{n} {what}" for what, n in counts.items() if n) or "nothing"
  )


def print_modules(variables: Mapping[str, Any]) -> None:
  """Prints how many arrays every module of the network has."""
  counts: collections.Counter[str] = collections.Counter()
  for path, _ in jax.tree.leaves_with_path(variables):
    counts[_LAYER.sub("", path[1].key)] += 1
  modules = ", ".join(f"{name} {n}" for name, n in sorted(counts.items()))
  print(f"matched: {counts.total()} arrays: {modules}")


def print_head(params: Mapping[str, Any], model: Mapping[str, Any]) -> None:
  """Prints which embeddings the weights give, and which one is searched."""
  retrieval = model.get("retrieval", "embedding")
  if "neck" not in params:
    what = "normalised parts" if "bn" in params else "parts"
    print(f"head: {what}, without a neck: embed_1 alone, retrieval=embedding")
    return
  other = "embedding" if retrieval == "neck" else "neck"
  print(
    "head: parts and neck (BNNecks): embed_1 (retrieval=embedding) and embed_2 "
    f"(retrieval=neck) both fit; the config says retrieval={retrieval}"
  )
  if _OPENGAIT.value is None:
    print(
      "The weights do not tell which one OpenGait searched: embed_2 if its "
      "YAML has use_emb2: true, else embed_1. If that is the other one, give "
      f"--config.model.retrieval={other}"
    )


def main(argv: list[str]) -> None:
  """Converts, writes and says what matched."""
  del argv
  output = storage.path(_OUTPUT.value)
  if (_INPUT.value is None) == (_ZOO.value is None):
    raise errors.UserError(
      "give --input, a checkpoint, or --zoo, a folder of them"
    )
  if _ZOO.value is not None:
    if _REVERSE.value:
      raise errors.UserError("--reverse takes --input, a workdir, not --zoo")
    convert_zoo(storage.on_disk(_ZOO.value, "--zoo").expanduser(), output)
    return
  source = storage.path(_INPUT.value)
  if _REVERSE.value:
    to_opengait(source, output)
  else:
    from_opengait(source, output)


if __name__ == "__main__":
  cli.run(main)
