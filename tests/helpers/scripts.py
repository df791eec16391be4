"""Scripts as modules."""

import importlib.util
import sys

from absl import flags

from tests.helpers import paths


def load(name):
  """The functions of a script; its flags do not stay, nor meet others."""
  folder = str(paths.ROOT / "scripts")
  if folder not in sys.path:  # as where a script is run
    sys.path.append(folder)
  others = {flag: flags.FLAGS[flag] for flag in flags.FLAGS}
  for definition in others.values():
    definition.allow_override = True
  spec = importlib.util.spec_from_file_location(
    f"{name}_script", paths.ROOT / "scripts" / f"{name}.py"
  )
  module = importlib.util.module_from_spec(spec)
  sys.modules[spec.name] = module  # dataclasses look their module up
  spec.loader.exec_module(module)
  for flag in set(flags.FLAGS) - set(others):
    delattr(flags.FLAGS, flag)
  for flag, definition in others.items():
    if flags.FLAGS[flag] is not definition:
      flags.FLAGS[flag] = definition
  for definition in others.values():
    definition.allow_override = False
  return module
