"""The network that is tested: of a checkpoint, or of an exported file."""

import dataclasses
import os
import pathlib
from typing import Any

import jax
from jax.sharding import Mesh

from gaitkd_jax import checkpoint
from gaitkd_jax import config as config_lib
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import placement
from gaitkd_jax import runtime
from gaitkd_jax import storage
from gaitkd_jax.evaluation import restoring
from gaitkd_jax.quantize import calibration


@dataclasses.dataclass(frozen=True)
class Tested:
  """A network that is tested.

  Attributes:
    module: the network, or an exported one.
    variables: of the network; none of an exported one.
    path: of the checkpoint or of the file.
    step: of the checkpoint that it is, or was exported from.
  """

  module: models.GaitNetwork | runtime.Exported
  variables: dict[str, Any]
  path: str
  step: int

  @property
  def name(self) -> str:
    """Of its results: the step, and the file if it is exported."""
    stem = f"_{pathlib.Path(self.path).stem}" if self.made_by else ""
    return f"{self.step}{stem}"

  @property
  def made_by(self) -> dict[str, Any]:
    """What results say of an exported network; nothing of a checkpoint."""
    if not isinstance(self.module, runtime.Exported):
      return {}
    metadata = self.module.metadata
    return {
      "file": os.path.basename(self.path),
      "digest": self.module.digest,
      "model": metadata["network"],
      "target": metadata["target"],
    }

  @property
  def digest(self) -> str:
    """What tells the network from all others."""
    if isinstance(self.module, runtime.Exported):
      return self.module.digest
    return checkpoint.digest(self.variables)

  def described(self, config: Any) -> dict[str, Any]:
    """The network, for the header of a store of embeddings.

    All processes call it: each may hold a share of the classes only.

    Args:
      config: the whole config.
    """
    path = self.path
    if not storage.is_remote(path):
      path = os.path.abspath(os.path.expanduser(path))
    if isinstance(self.module, runtime.Exported):
      known = self.module.metadata
      return {
        "model": known["model"],
        "quantization": known["bits"],
        "dtype": "float32",
        "exported": path,
        "step": self.step,
        "digest": self.digest,
      }
    model = config.model.to_dict()
    if "num_classes" in model:
      model["num_classes"] = self.module.num_classes
    settings = self.module.quantization
    return {
      "model": model,
      "quantization": settings.form if settings else {},
      "dtype": config.dtype,
      "checkpoint": path,
      "step": self.step,
      "digest": self.digest,
    }


def load(config: Any, workdir: str | os.PathLike[str], mesh: Mesh) -> Tested:
  """Opens the exported file of `eval.model`, or restores a checkpoint.

  Args:
    config: the whole config; see also `restore`.
    workdir: of a training.
    mesh: devices that get the variables.

  Raises:
    errors.UserError: the file or the checkpoint cannot be used.
  """
  if not config.eval.model:
    module, variables, path = restore(config, workdir, mesh)
    return Tested(module, variables, path, checkpoint.restored_step(path))
  if config.eval.checkpoint:
    raise errors.UserError(
      f"config.eval.model is {config.eval.model} and config.eval.checkpoint is "
      f"{config.eval.checkpoint}, and one network is tested; give one of them"
    )
  exported = open_exported(config.eval.model, "config.eval.model")
  step = int(exported.metadata["checkpoint"]["step"])
  return Tested(exported, {"params": {}}, config.eval.model, step)


def open_exported(path: str, name: str) -> runtime.Exported:
  """Opens an exported file, and says what it is.

  Args:
    path: on the disk or in an object store.
    name: of what the user gave, for messages.

  Raises:
    errors.UserError: it cannot be used, or several processes would use it.
  """
  if jax.process_count() > 1:
    raise errors.UserError(
      f"{name} {path} is run by one process, and here are "
      f"{jax.process_count()}; start it alone"
    )
  try:
    place = storage.fetch(path)
  except FileNotFoundError as e:
    raise errors.UserError(
      f"{name} {path} is not there; give a file that python -m "
      "gaitkd_jax.export wrote"
    ) from e
  exported = runtime.Exported(place)
  known = exported.metadata
  print(
    f"{path}: {known['network']} for {known['target']}, of step "
    f"{known['checkpoint']['step']}, on {exported.threads} threads of this "
    "processor",
    flush=True,
  )
  if exported.note:
    print(exported.note, flush=True)
  return exported


def restore(
  config: Any, workdir: str | os.PathLike[str], mesh: Mesh
) -> tuple[Any, dict[str, Any], str]:
  """Builds the network of `config` and reads its checkpoint.

  Args:
    config: `eval.checkpoint` names the checkpoint, a workdir or a step of it,
      or is the number of a step of this one; empty is the newest.
    workdir: of a training.
    mesh: devices that get the variables.

  Returns:
    The network, whose number of classes is that of the checkpoint, its
    variables, and where they were read.
  """
  planned = models.create_model(config.model, config.dtype, config.quantization)
  config_lib.check_frames("the network", planned)
  path = config.eval.checkpoint or str(workdir)
  if path.isdecimal():
    step = storage.path(workdir) / "checkpoints" / path
    path = str(step) if storage.exists(step) else path
  module, variables = restoring.restore_network(
    path,
    config.model,
    config.dtype,
    placement.place(planned, config.sharding.classifier, mesh),
    config.quantization,
  )
  calibration.tell_float_parts(module)
  return module, variables, path
