"""What all programs share: flags, quiet libraries, one-line mistakes.

JAX is not imported here, since not every program needs it.
"""

from collections.abc import Callable
import contextlib
from logging import WARNING
from logging import LogRecord
import os
import pathlib
import re
import sys
import traceback
from typing import Any

from absl import app
from absl import flags
from absl import logging
from ml_collections import ConfigDict

from gaitkd_jax import arguments
from gaitkd_jax import errors
from gaitkd_jax import failures
from gaitkd_jax import storage
from gaitkd_jax.hosts import stopping

# Of a program whose reader has gone (`| head`).
_UNREAD = 141


def run(main: Callable[[list[str]], None]) -> None:
  """Runs `main`; a user's mistake is one line and status 2.

  So is what the machine refuses, such as a full disk. Any other exception is a
  bug and keeps its traceback. With `--config=<file>:help` it prints what the
  file offers, and runs nothing.
  """
  if "jax" in sys.modules:
    from gaitkd_jax import sharding

    sharding.spare_tpu()
  sys.excepthook = _hook
  sys.unraisablehook = _unraisable
  # TensorFlow, which is loaded later, warns of what it raises as well; JAX has
  # set 1.
  if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1") == "1":
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
  try:
    with stopping.listening():
      app.run(lambda argv: _main(main, argv), flags_parser=_parse)
  except errors.Help as text:
    _print(str(text))
  except errors.Stopped as e:
    _end(str(e), _status(e))
  except KeyboardInterrupt:
    _end("interrupted", stopping.INTERRUPTED)
  except BrokenPipeError:
    _end("stopped: nobody reads the output any more", _UNREAD)
  except errors.UserError as e:
    # Ctrl-C while a library is loaded looks as if that were missing.
    if isinstance(e.__cause__, ImportError) and (stop := _stopped(e)):
      _end(str(stop), _status(stop))
    _end(f"error: {e}", 2)
  except Exception as e:
    stop, raised = stopping.verdict(), _stopped(e)
    if stop and not (raised and raised.saved):
      # It was in what it computes with a process that was stopped as well.
      _end(str(stop), _status(stop))
    reason = failures.reason(e)
    if reason is None:
      if stopping.is_alone():
        raise
      traceback.print_exc()
      _end("", 1)  # JAX would wait for the others, and they for this one
    _end(f"error: {reason}", 2)


def config(flag: flags.FlagHolder) -> ConfigDict:
  """Returns the config that `--config` names."""
  if flag.value is None:
    raise errors.UserError("--config is missing; give --config=configs/x.py")
  return flag.value


def run_name(config: str) -> str:
  """Names a run after its `--config`: "gaitbase_grew" for gaitbase.py:grew."""
  file, _, variant = config.partition(":")
  return "_".join(filter(None, (pathlib.Path(file).stem, variant)))


def _status(stop: errors.Stopped) -> int:
  """The status of a program that was stopped."""
  return errors.STOPPED if stop.saved else stopping.status(stop.signal)


def _end(text: str, status: int) -> None:
  """Ends the program with one line on standard error.

  At once: all that is ours was closed on the way here, and the threads of
  libraries would complain that they are stopped.
  """
  with contextlib.suppress(BrokenPipeError):
    sys.stdout.flush()
  if text:
    print(" ".join(text.split()), file=sys.stderr, flush=True)
  storage.remove_scratch()
  stopping.leave(status)
  os._exit(status)


def _stopped(error: BaseException | None) -> errors.Stopped | None:
  """The stop in whose course an error was raised."""
  while error is not None and not isinstance(error, errors.Stopped):
    error = error.__cause__ or error.__context__
  return error


def _hook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
  """Leaves out what TensorStore's threads say of a read that has failed."""
  if str(error) != "Event loop is closed":
    sys.__excepthook__(kind, error, trace)


def _unraisable(error: Any) -> None:
  """Leaves out what they say of a write that has failed.

  A stop is raised again: Python drops what is raised in a destructor, or where
  JAX is called back when garbage is collected.
  """
  if isinstance(error.exc_value, errors.Stopped):
    stopping.again()
  elif str(error.exc_value) != "Event loop is closed":
    sys.__unraisablehook__(error)


def _print(text: str) -> None:
  """Prints, also to a reader such as `head` that does not take it all."""
  try:
    print(text, flush=True)
  except BrokenPipeError:
    # Python would complain once more when it flushes at its end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _main(main: Callable[[list[str]], None], argv: list[str]) -> None:
  if len(argv) > 1:
    raise errors.UserError(arguments.surplus(argv[1:]))
  logging.set_verbosity(logging.WARNING)
  logging.get_absl_handler().addFilter(_is_shown)
  main(argv)
  stopping.done()
  if not stopping.is_alone():
    # JAX's own end waits for all processes, and aborts if one dies meanwhile.
    _end("", 0)


def _is_shown(record: LogRecord) -> bool:
  """Whether something that is logged is news to the user."""
  if "data_pipelines" in record.pathname:
    return True
  # TFDS warns of its own deprecated calls; Orbax logs what it raises as well.
  return record.levelno > WARNING and "orbax" not in record.pathname


def _parse(argv: list[str]) -> list[str]:
  """Parses the flags; what is wrong in them is a UserError."""
  try:
    arguments.check(argv)
    return flags.FLAGS(argv)
  except (AttributeError, KeyError, TypeError, flags.Error) as e:
    raise errors.UserError(_reason(e)) from e


def _reason(error: Exception) -> str:
  """What absl or ml_collections say, in one line."""
  if names := re.findall(r"flag --(\S+)=None: Flag --\1 must", str(error)):
    missing = (f"--{name} ({flags.FLAGS[name].help})" for name in names)
    return f"{' and '.join(missing)} must be given"
  return str(error.args[0] if isinstance(error, KeyError) else error)
