"""The folder of a run: names of its result files, and how they are written."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import json
import math
import os
import re
from typing import Any

from gaitkd_jax import errors
from gaitkd_jax import storage

_CONFIG = "config.json"
_EARLIER_CONFIG = re.compile(r"config\.(\d+)\.json")
_RESUMED = "resumed.json"


@dataclasses.dataclass(frozen=True)
class Resumed:
  """A place where a training went on with other settings.

  Attributes:
    step: finished steps at that time.
    changed: old and new value by key.
  """

  step: int
  changed: Mapping[str, Sequence[Any]]


def make_workdir(workdir: str | os.PathLike[str]) -> None:
  """Makes the folder of the results, before any work is done."""
  storage.check_writable(workdir, "--workdir")


def name_of(name: str, workdir: str | os.PathLike[str], protocol: str) -> str:
  """The name for files of an evaluation that replaces no other protocol's."""
  try:
    path = storage.path(workdir) / "eval" / f"{name}.json"
    other = json.loads(storage.read_text(path)).get("protocol", protocol)
  except storage.StoreError:
    raise
  except (OSError, ValueError, AttributeError):
    return name
  return name if other == protocol else f"{name}_{protocol}"


def config_until(
  workdir: str | os.PathLike[str], step: int
) -> dict[str, Any] | None:
  """The config by which a run came to a step; None if it cannot be read."""
  earlier = _earlier_configs(workdir)
  later = [n for n in earlier if n >= step]
  path = earlier[min(later)] if later else storage.path(workdir) / _CONFIG
  return _read_object(path)


def configs(workdir: str | os.PathLike[str]) -> list[dict[str, Any] | None]:
  """All configs of a run, the oldest first; None if one cannot be read."""
  earlier = _earlier_configs(workdir)
  paths = [earlier[n] for n in sorted(earlier)]
  return [
    _read_object(path) for path in (*paths, storage.path(workdir) / _CONFIG)
  ]


def resumptions(workdir: str | os.PathLike[str]) -> list[Resumed]:
  """Where a training went on with other settings, in the order of steps."""
  found = _read_object(storage.path(workdir) / _RESUMED) or {}
  places = [
    Resumed(int(step), changed)
    for step, changed in found.items()
    if step.isdecimal() and isinstance(changed, Mapping)
  ]
  return sorted(places, key=lambda place: place.step)


def write_config(
  workdir: str | os.PathLike[str],
  config: Mapping[str, Any],
  step: int | None,
  changed: Mapping[str, Sequence[Any]],
) -> None:
  """Writes config.json; keeps the one of before if the basis changed.

  That is kept as config.<step>.json, and what changed in resumed.json. What
  these say of steps that are now done anew is removed. Every file is written
  whole, in an order that leaves the truth if the program is killed in between.

  Args:
    workdir: of the run.
    config: that is in force from now on.
    step: finished steps; None: the run begins.
    changed: old and new value by key, where the run goes on otherwise.
  """
  folder = storage.path(workdir)
  earlier = _earlier_configs(folder)
  kept = [] if step is None else resumptions(folder)
  places = {str(p.step): p.changed for p in kept if p.step < (step or 0)}
  if step is not None and changed:
    before = config_until(folder, step)
    if before is not None:
      _replace(folder / f"config.{step}.json", _json(before))
    places[str(step)] = changed
  if places:
    _replace(folder / _RESUMED, _json(places))
  _replace(folder / _CONFIG, _json(config))
  if not places:
    storage.remove(folder / _RESUMED)
  for until, path in earlier.items():
    if step is None or until > step or (until == step and not changed):
      storage.remove(path)


def _earlier_configs(
  workdir: str | os.PathLike[str],
) -> dict[int, storage.Path]:
  """The configs that were replaced, by the step until which they held."""
  folder = storage.path(workdir)
  found = {}
  for name in storage.names(folder):
    if step := _EARLIER_CONFIG.fullmatch(name):
      found[int(step[1])] = folder / name
  return found


def _read_object(path: storage.Path) -> dict[str, Any] | None:
  try:
    found = json.loads(storage.read_text(path))
  except storage.StoreError:
    raise
  except (OSError, ValueError):
    return None
  return found if isinstance(found, dict) else None


def _json(content: Mapping[str, Any]) -> str:
  return json.dumps(content, indent=2, default=str) + "\n"


def write(
  metrics: Mapping[str, float],
  name: str,
  workdir: str | os.PathLike[str],
  **metadata: object,
) -> storage.Path:
  """Writes `eval/<name>.json`, the whole file or nothing.

  Args:
    metrics: by flat name; those that are not finite become null.
    name: of the evaluation, the checkpoint's step in most cases.
    workdir: of the run.
    **metadata: JSON, put before the metrics.
  """
  clean = {k: v if math.isfinite(v) else None for k, v in metrics.items()}
  text = json.dumps({**metadata, **clean}, indent=2) + "\n"
  return write_text(text, storage.path(workdir) / "eval" / f"{name}.json")


def write_text(text: str, path: storage.Path) -> storage.Path:
  """Writes the whole file or nothing, and prints its path."""
  _replace(path, text)
  print(f"written: {path}", flush=True)
  return path


def _replace(path: storage.Path, text: str) -> None:
  """Writes the whole file or nothing."""
  try:
    storage.write_text(path, text)
  except OSError as e:
    raise errors.UserError(
      f"{path} cannot be written ({e.strerror or e}); make room, or give "
      "another --workdir"
    ) from e
