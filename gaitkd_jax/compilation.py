"""Compiled programs are kept for the next start.

A training step takes minutes to compile for a GPU or TPU, and a run that was
stopped need not do it twice. JAX does the work: it knows programs by what they
compute, by the devices and by its own version, and of several processes only
the first writes.
"""

import contextlib

import jax

from gaitkd_jax import errors
from gaitkd_jax import storage

AUTO = "auto"
FOLDER = "~/.cache/gaitkd_jax/compiled"


def keep(folder: str) -> str | None:
  """Makes JAX keep what it compiles; call it before anything is compiled.

  Programs that take less than a second are not kept. Whoever can write to the
  folder can make this program run what they like.

  Args:
    folder: `config.compilation_cache`: a folder, also of a store, such as
      gs://bucket/compiled; "" for none; "auto": what JAX_COMPILATION_CACHE_DIR
      names, else `FOLDER` on a GPU or TPU. On a CPU it is none: there, a
      program is compiled quickly, and for the very machine.

  Returns:
    Where programs are kept; None: nowhere.

  Raises:
    errors.UserError: the folder cannot be written.
  """
  if folder == AUTO:
    if set_before := jax.config.jax_compilation_cache_dir:
      return set_before
    folder = "" if jax.default_backend() == "cpu" else FOLDER
    try:
      found = _made(folder)
    except errors.UserError as e:
      print(f"programs are compiled anew: {e}")
      found = None
  else:
    found = _made(folder)
  jax.config.update("jax_compilation_cache_dir", found)
  return found


def _made(folder: str) -> str | None:
  """Makes a folder that only its owner can write to, if need be."""
  if not folder:
    return None
  place = storage.absolute(folder)
  if not storage.is_remote(folder):
    with contextlib.suppress(OSError):  # which is told below
      place.mkdir(mode=0o700, parents=True, exist_ok=True)
  storage.check_writable(place, "config.compilation_cache")
  return str(place)
