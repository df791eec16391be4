"""Programs that tests have compiled are kept for those that compile the same.

Only programs of one device: XLA's CPU backend aborts when it runs one of
several devices that was read from a file.
"""

import tempfile

import jax
from jax._src import compiler

_FOLDER = tempfile.TemporaryDirectory(prefix="compiled")


def keep():
  """Keeps programs in a folder of this process, which no other half writes.

  JAX has no public way to tell the programs apart; where this one is gone,
  nothing is kept.
  """
  resolve = getattr(compiler, "_resolve_compilation_strategy", None)
  if resolve is None:
    return

  def strategy(computation, devices, options, *args, **kwargs):
    if devices.size > 1:
      return None, options
    return resolve(computation, devices, options, *args, **kwargs)

  compiler._resolve_compilation_strategy = strategy
  jax.config.update("jax_compilation_cache_dir", _FOLDER.name)
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
