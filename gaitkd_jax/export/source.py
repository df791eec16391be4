"""What is known of a checkpoint that is exported."""

from collections.abc import Mapping
import dataclasses
import json
import os
from typing import Any

from gaitkd_jax import checkpoint
from gaitkd_jax import errors
from gaitkd_jax import storage
from gaitkd_jax import workdir as workdir_lib
from gaitkd_jax.evaluation import distances


@dataclasses.dataclass(frozen=True)
class Source:
  """A checkpoint, and what lies around it.

  Attributes:
    path: that was given.
    step: of the checkpoint.
    workdir: of the training.
    model: config of the network.
    form: `quantize.Settings.form`; empty of a float network.
    classes: names of the people that it was trained on, "<data set>/<subject>".
    config: of the training, as JSON; None if it is not there.
  """

  path: str
  step: int
  workdir: storage.Path
  model: dict[str, Any]
  form: dict[str, Any]
  classes: tuple[str, ...]
  config: Mapping[str, Any] | None

  @property
  def metric(self) -> str:
    """By which its training compared embeddings."""
    found = (self.config or {}).get("eval", {}).get("metric")
    return found if found in distances.METRICS else distances.METRICS[0]

  @property
  def data(self) -> str:
    """The name of the data set that it was trained on; "" if unknown."""
    names = sorted({name.partition("/")[0] for name in self.classes})
    if names:
      return ", ".join(names)
    found = (self.config or {}).get("data", {}).get("name")
    return found if isinstance(found, str) else ""

  def evaluations(self) -> list[tuple[str, dict[str, Any]]]:
    """What evaluations of this step found: file and content, by its name."""
    found = []
    folder = self.workdir / "eval"
    for name in sorted(storage.names(folder)):
      stem = name.removesuffix(".json")
      own = stem == str(self.step) or stem.startswith(f"{self.step}_")
      if not name.endswith(".json") or not own:
        continue
      try:
        content = json.loads(storage.read_text(folder / name))
      except (OSError, ValueError):
        continue
      # What was measured on an exported file is of that file.
      if isinstance(content, dict) and "file" not in content:
        found.append((name, content))
    return found


def find(path: str, config: Any) -> Source:
  """Reads what a checkpoint says of itself.

  Args:
    path: a workdir, its `checkpoints` folder, or one step in it.
    config: the whole config, whose network is taken where the checkpoint does
      not say; None: there is none.

  Raises:
    errors.UserError: there is no checkpoint, or nobody says what network it is.
  """
  step = checkpoint.restored_step(path)
  meta = checkpoint.restored_meta(path)
  model = meta.get("model")
  if not isinstance(model, dict):
    if config is None:
      raise errors.UserError(
        f"checkpoint {path} does not say which network it is; give the config "
        "that wrote it, --config=configs/x.py"
      )
    model = config.model.to_dict()
  workdir = _workdir(storage.absolute(path))
  classes = meta.get("classes") or ()
  return Source(
    path=os.fspath(path),
    step=step,
    workdir=workdir,
    model=model,
    form=dict(meta.get("quantization") or {}),
    classes=tuple(str(name) for name in classes),
    config=workdir_lib.config_until(workdir, step),
  )


def _workdir(place: storage.Path) -> storage.Path:
  """The workdir of a path that names a checkpoint."""
  if place.name.isdecimal():
    place = place.parent
  return place.parent if place.name == "checkpoints" else place
