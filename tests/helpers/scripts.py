"""Scripts as modules."""

import importlib.util
import sys

from absl import flags

from tests.helpers import paths


def load(name):
  """The functions of a script; its flags do not stay."""
  before = set(flags.FLAGS)
  spec = importlib.util.spec_from_file_location(
    f"{name}_script", paths.ROOT / "scripts" / f"{name}.py"
  )
  module = importlib.util.module_from_spec(spec)
  sys.modules[spec.name] = module  # dataclasses look their module up
  spec.loader.exec_module(module)
  for flag in set(flags.FLAGS) - before:
    delattr(flags.FLAGS, flag)
  return module
