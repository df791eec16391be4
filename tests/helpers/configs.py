"""Configs by name, and small runs of them."""

from gaitkd_jax import config as config_lib
from tests.helpers import paths

FOLDER = paths.ROOT / "configs"
FILES = sorted(path.stem for path in FOLDER.glob("*.py"))
STEPS = 4


def module(name):
  """The module of a file in configs/."""
  return config_lib.load_module(FOLDER / f"{name}.py")


def load(name, variant=""):
  """Returns the module of a file in configs/ and one of its configs."""
  found = module(name)
  return found, found.get_config(variant)


def smoke_config(prepared, name="walkers", **changes):
  config = load(name, "smoke")[1]
  config.data.prepared = str(prepared)
  config.train.steps = STEPS
  config.update_from_flattened_dict(changes)
  return config.lock()
