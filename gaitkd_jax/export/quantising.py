"""Steps for a float network that is exported in few bits."""

from collections.abc import Mapping
import os
from typing import Any

from jax.sharding import Mesh

from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import quantize
from gaitkd_jax import sharding
from gaitkd_jax.export import silhouettes
from gaitkd_jax.quantize import calibration
from gaitkd_jax.quantize import post_training


def settings(config: Any, changes: Mapping[str, Any]) -> quantize.Settings:
  """The bits of a post-training quantisation.

  Args:
    config: the whole config; None: there is none.
    changes: "weights", "activations", "range", where they were given; they win.

  Raises:
    errors.UserError: a value that does not exist, or no bits for activations.
  """
  section = {"weights": 8, "activations": 8}
  if config is not None and quantize.create_settings(config.quantization):
    section = dict(config.quantization)
  found = quantize.create_settings({**section, **changes})
  if found is None or not found.weights or not found.activations:
    raise errors.UserError(
      "weights and activations both need bits to be computed in bytes; give "
      "--weights=8 --activations=8"
    )
  return found


def calibrated(
  module: models.GaitNetwork,
  variables: Mapping[str, Any],
  source: str,
  config: Any,
  mesh: Mesh,
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Gives a float network the steps that its values on data ask for.

  Args:
    module: the quantised network.
    variables: of the float one.
    source: "walkers", which are rendered; the name of the config's data set,
      whose training batches are taken, as `--mode=quantize` does; or a folder
      of silhouettes.
    config: the whole config; None: there is none.
    mesh: one device.

  Returns:
    Variables of the quantised network, and what was looked at: JSON.

  Raises:
    errors.UserError: there is no such source, or it cannot be read.
  """
  observer = module.quantization.observer
  if config is not None and source in ("config", config.data.name):
    found = post_training.calibrated(config, module, variables, mesh)
    count, name = config.quantization.batches, config.data.name
    return found, {"data": name, "batches": count, "observer": observer}
  if source == silhouettes.WALKERS:
    name = source
    batches = silhouettes.walkers_batches(module.in_channels)
  elif os.path.isdir(source):
    if module.in_channels > 1:
      raise errors.UserError(
        f"--calibrate={source} is a folder of silhouettes, and the network "
        "takes heat maps; give --config=<file> and --calibrate=config"
      )
    name = os.path.basename(os.path.abspath(source))
    batches = silhouettes.folder_batches(
      source, config.data.name if config is not None else ""
    )
  else:
    own = f"{config.data.name}, " if config is not None else ""
    raise errors.UserError(
      f"--calibrate={source} is no folder, and no data set that is at hand; "
      f"give {own}{silhouettes.WALKERS}, a folder of silhouettes, or config "
      "with --config=<file>, whose training data are then taken"
    )
  whole = post_training.with_quantizers(module, variables, mesh)
  listed = list(batches)
  steps = calibration.observe(
    module, whole, (sharding.put_batch(b, mesh) for b in listed), mesh
  )
  return calibration.with_steps(whole, steps), {
    "data": name,
    "batches": len(listed),
    "observer": observer,
  }
