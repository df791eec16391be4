"""The folder of a run: names of its result files, and how they are written."""

from collections.abc import Mapping
import json
import math
import os
import pathlib
import tempfile

from gaitkd_jax import errors


def make_workdir(workdir: str | os.PathLike[str]) -> None:
  """Makes the folder of the results, before any work is done."""
  try:
    pathlib.Path(workdir).mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=workdir).close()
  except OSError as e:
    raise errors.UserError(
      f"--workdir {workdir} cannot be written ({e.strerror}); give another"
    ) from e


def name_of(name: str, workdir: str | os.PathLike[str], protocol: str) -> str:
  """The name for files of an evaluation that replaces no other protocol's."""
  try:
    path = pathlib.Path(workdir) / "eval" / f"{name}.json"
    other = json.loads(path.read_text()).get("protocol", protocol)
  except (OSError, ValueError, AttributeError):
    return name
  return name if other == protocol else f"{name}_{protocol}"


def write(
  metrics: Mapping[str, float],
  name: str,
  workdir: str | os.PathLike[str],
  **metadata: object,
) -> pathlib.Path:
  """Writes `eval/<name>.json`, the whole file or nothing.

  Args:
    metrics: by flat name; those that are not finite become null.
    name: of the evaluation, the checkpoint's step in most cases.
    workdir: of the run.
    **metadata: JSON, put before the metrics.
  """
  clean = {k: v if math.isfinite(v) else None for k, v in metrics.items()}
  text = json.dumps({**metadata, **clean}, indent=2) + "\n"
  return write_text(text, pathlib.Path(workdir) / "eval" / f"{name}.json")


def write_text(text: str, path: pathlib.Path) -> pathlib.Path:
  """Writes the whole file or nothing, and prints its path."""
  new = path.with_name(f".{path.name}.tmp")
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    new.write_text(text)
    new.replace(path)
  except OSError as e:
    raise errors.UserError(
      f"{path} cannot be written ({e.strerror or e}); make room, or give "
      "another --workdir"
    ) from e
  print(f"written: {path}", flush=True)
  return path
