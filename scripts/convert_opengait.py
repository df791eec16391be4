"""Converts an OpenGait checkpoint (.pt) to this library's, or back.

python scripts/convert_opengait.py --input=GaitBase-60000.pt \
  --config=configs/gaitbase.py:casiab --output=runs/opengait_gaitbase

The network is that of `--config` or of OpenGait's own YAML,
`--opengait_config=gaitbase.yaml`. The result serves as
`--config.eval.checkpoint` or as a teacher's checkpoint. With `--reverse` the
input is a workdir or a checkpoint of this library, the output a .pt that
OpenGait loads.

Reading or writing a .pt needs PyTorch (`pip install '.[torch]'`); a .npz of the
state dict needs nothing more. Only tensors are read (`weights_only=True`): a
file that holds code is refused, and the code is not run.
"""

import collections
from collections.abc import Mapping
import pathlib
import pickle
import re
from typing import Any
import zipfile
import zlib

from absl import flags
import jax
from ml_collections import config_flags
import numpy as np

from gaitkd_jax import checkpoint
from gaitkd_jax import cli
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax import storage
from gaitkd_jax.opengait import config as opengait_config
from gaitkd_jax.opengait import convert

_INPUT = flags.DEFINE_string(
  "input", None, "the .pt or .npz; reversed: a workdir", required=True
)
_OUTPUT = flags.DEFINE_string(
  "output", None, "new folder; reversed: a new .pt or .npz", required=True
)
_REVERSE = flags.DEFINE_bool("reverse", False, "from this library to OpenGait")
_OPENGAIT = flags.DEFINE_string(
  "opengait_config", None, "OpenGait's YAML, in place of --config"
)
_CONFIG = config_flags.DEFINE_config_file("config", lock_config=True)
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


def read_state(path: pathlib.Path) -> tuple[dict[str, np.ndarray], int]:
  """Reads the arrays of a checkpoint's model, and its step."""
  if not path.is_file():
    raise errors.UserError(f"--input {path} is not a file")
  if path.suffix == ".npz":
    return _read_npz(path), 0
  torch = _torch(path)
  try:
    content = torch.load(path, map_location="cpu", weights_only=True)
  except (
    *(AttributeError, EOFError, KeyError, OSError, RuntimeError, ValueError),
    pickle.UnpicklingError,
  ) as e:
    reason = str(e).splitlines()[0] if str(e) else type(e).__name__
    raise errors.UserError(
      f"--input {path} cannot be read as plain tensors ({reason}); it is "
      "damaged, or holds code, which is never run"
    ) from e
  state = content.get("model", content) if isinstance(content, dict) else None
  if not isinstance(state, dict) or not all(
    isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in state.items()
  ):
    raise errors.UserError(
      f"--input {path} holds no state dict; give OpenGait's checkpoint, with "
      "the weights under 'model'"
    )
  step = content.get("iteration", 0)
  arrays = {key: x.to(torch.float32).numpy() for key, x in state.items()}
  return arrays, step if isinstance(step, int) and step >= 0 else 0


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
  torch = None if path.suffix == ".npz" else _torch(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  if torch is None:
    np.savez(path, **state)
    return
  tensors = {key: torch.from_numpy(value) for key, value in state.items()}
  torch.save({"model": tensors, "iteration": step}, path)


def _torch(path: pathlib.Path) -> Any:
  try:
    import torch
  except ImportError as e:
    raise errors.UserError(
      f"{path} needs PyTorch; run pip install '.[torch]', or use .npz"
    ) from e
  return torch


def from_opengait(source: storage.Path, output: storage.Path) -> None:
  """Converts OpenGait's file to a checkpoint of this library."""
  if storage.names(output) or storage.exists(output) and not output.is_dir():
    raise errors.UserError(f"--output {output} exists; give a new folder")
  model = model_config()
  if not storage.exists(source):
    raise errors.UserError(f"--input {source} is not a file")
  if storage.is_remote(output):
    storage.check_writable(output, "--output")
  state, step = read_state(storage.fetch(source))
  variables = convert.variables_from_opengait(state, model)
  checkpoint.save_model(
    output / "checkpoints", variables, {"model": model}, step
  )
  print_modules(variables)
  ignored = [f"{n} {what}" for what, n in convert.ignored(state).items() if n]
  print("left out:", ", ".join(ignored) or "nothing")
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
  added = [f"{n} {what}" for what, n in convert.ignored(state).items() if n]
  print("added:", ", ".join(added) or "nothing")
  print_head(variables["params"], model)
  print(f"written: {output}, iteration {step}")


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
  source, output = storage.path(_INPUT.value), storage.path(_OUTPUT.value)
  if _REVERSE.value:
    to_opengait(source, output)
  else:
    from_opengait(source, output)


if __name__ == "__main__":
  cli.run(main)
