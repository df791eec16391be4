"""Configs of a network that was never trained: enough to evaluate one."""

from gaitkd_jax import checkpoint
from gaitkd_jax import models
from tests.helpers import configs
from tests.helpers import networks


def changed(config, **changes):
  """A copy with other values, by dotted key."""
  config = config.copy_and_resolve_references()
  config.unlock()
  config.update_from_flattened_dict(changes)
  return config.lock()


def config(prepared, folder):
  """The student of the embedded data, with a checkpoint of step 4."""
  c = configs.smoke_config(prepared, "walkers_baseline")
  variables = networks.initial_variables(models.create_model(c.model))
  checkpoint.save_model(folder / "untrained", variables, {}, step=4)
  return of_checkpoint(prepared, folder / "untrained")


def of_checkpoint(prepared, checkpoint_folder):
  """`config`, whose checkpoint is there."""
  c = configs.smoke_config(prepared, "walkers_baseline")
  path = str(checkpoint_folder)
  return changed(c, **{"eval.checkpoint": path, "eval.report": True})
