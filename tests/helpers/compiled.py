"""Programs that tests have compiled are kept for those that compile the same.

Programs of one device are kept in files, those of several in memory: XLA's CPU
backend aborts when it runs one of several devices that was read from a file.
"""

import collections
import tempfile

import jax
from jax._src import cache_key
from jax._src import compiler

_FOLDER = tempfile.TemporaryDirectory(prefix="compiled")
# A program holds some megabytes.
_MOST = 64


def keep():
  """Keeps programs for this process, which no other half writes.

  JAX has no public way to tell the programs apart; where this one is gone,
  nothing is kept.
  """
  whole = getattr(compiler, "compile_or_get_cached", None)
  resolve = getattr(compiler, "_resolve_compilation_strategy", None)
  if whole is None or resolve is None:
    return
  programs = collections.OrderedDict()

  def strategy(computation, devices, options, *args, **kwargs):
    if devices.size > 1:
      return None, options
    return resolve(computation, devices, options, *args, **kwargs)

  def compile_once(
    backend, computation, devices, options, callbacks, *args, **kwargs
  ):
    def compiled():
      return whole(
        backend, computation, devices, options, callbacks, *args, **kwargs
      )

    if devices.size == 1 or callbacks:
      return compiled()
    key = cache_key.get(computation, devices, options, backend)
    if key not in programs:
      programs[key] = compiled()
    programs.move_to_end(key)
    if len(programs) > _MOST:
      programs.popitem(last=False)
    return programs[key]

  compiler._resolve_compilation_strategy = strategy
  compiler.compile_or_get_cached = compile_once
  jax.config.update("jax_compilation_cache_dir", _FOLDER.name)
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
