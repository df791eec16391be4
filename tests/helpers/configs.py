"""Configs by name, and small runs of them."""

import importlib.util

from tests.helpers import paths

STEPS = 4


def load(name, variant=""):
  spec = importlib.util.spec_from_file_location(
    name, paths.ROOT / "configs" / f"{name}.py"
  )
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module, module.get_config(variant)


def smoke_config(prepared, name="walkers", **changes):
  config = load(name, "smoke")[1]
  config.data.prepared = str(prepared)
  config.train.steps = STEPS
  config.update_from_flattened_dict(changes)
  return config.lock()
