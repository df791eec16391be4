"""Converts an OpenGait checkpoint (.pt) to this library's.

python scripts/convert_opengait.py --input=GaitBase-60000.pt \
  --config=configs/casiab_baseline.py --output=runs/opengait_gaitbase

The result serves as `--config.eval.checkpoint` or as a teacher's checkpoint.
Reading a .pt needs PyTorch (`pip install '.[torch]'`); a .npz of the state dict
needs nothing. Only tensors are read (`weights_only=True`): code in the file is
refused, not run.
"""

import pathlib
import pickle
import zipfile

from absl import flags
from ml_collections import config_flags
import numpy as np

from gaitkd_jax import checkpoint
from gaitkd_jax import cli
from gaitkd_jax import convert
from gaitkd_jax import errors

_INPUT = flags.DEFINE_string("input", None, "the .pt or .npz", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "new folder", required=True)
_CONFIG = config_flags.DEFINE_config_file("config", lock_config=True)


def read_state(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Reads the arrays of a checkpoint's model."""
  if not path.is_file():
    raise errors.UserError(f"--input {path} is not a file")
  if path.suffix == ".npz":
    try:
      with np.load(path, allow_pickle=False) as f:
        return {key: f[key] for key in f.files}
    except (ValueError, OSError, zipfile.BadZipFile) as e:
      raise errors.UserError(f"--input {path} cannot be read: {e}") from e
  try:
    import torch
  except ImportError as e:
    raise errors.UserError(
      f"reading {path} needs PyTorch; run pip install '.[torch]'"
    ) from e
  try:
    content = torch.load(path, map_location="cpu", weights_only=True)
  except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as e:
    reason = str(e).splitlines()[0] if str(e) else type(e).__name__
    raise errors.UserError(
      f"--input {path} cannot be read as plain tensors ({reason}); it is "
      "damaged, or holds code, which is never run"
    ) from e
  state = content.get("model", content) if isinstance(content, dict) else None
  if not isinstance(state, dict) or not all(
    isinstance(v, torch.Tensor) for v in state.values()
  ):
    raise errors.UserError(
      f"--input {path} holds no state dict; give OpenGait's checkpoint, with "
      "the weights under 'model'"
    )
  return {key: value.to(torch.float32).numpy() for key, value in state.items()}


def main(argv: list[str]) -> None:
  """Converts and writes."""
  del argv
  model = cli.config(_CONFIG).model
  output = pathlib.Path(_OUTPUT.value)
  if output.is_file() or (output.exists() and any(output.iterdir())):
    raise errors.UserError(f"--output {output} exists; give a new folder")
  state = read_state(pathlib.Path(_INPUT.value))
  variables = convert.variables_from_opengait(state, model)
  checkpoint.save_model(
    output / "checkpoints", variables, {"model": model.to_dict()}
  )
  used = sum(not convert.IGNORED.search(key) for key in state)
  print(
    f"{used} arrays converted, {len(state) - used} ignored (counters, "
    f"teachers, losses); written: {output}"
  )


if __name__ == "__main__":
  cli.run(main)
