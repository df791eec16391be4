"""What all programs share: flags, quiet libraries, one-line mistakes."""

from collections.abc import Callable
from logging import WARNING
import os
import pathlib
import sys

from absl import app
from absl import flags
from absl import logging
from ml_collections import ConfigDict
from ml_collections import config_flags

from gaitkd_jax import config as config_lib
from gaitkd_jax import errors
from gaitkd_jax import sharding


def run(main: Callable[[list[str]], None]) -> None:
  """Runs `main`; a user's mistake is one line and status 2.

  With `--config=<file>:help` it prints what the file offers, and runs nothing.
  """
  # JAX sets this when it is imported on a machine without a TPU; it tries
  # libtpu all the same where that is installed.
  if os.environ.get("TPU_SKIP_MDS_QUERY") == "1":
    for name, value in sharding.NO_TPU.items():
      os.environ.setdefault(name, value)
  try:
    app.run(lambda argv: _main(main, argv), flags_parser=_parse)
  except config_lib.Help as text:
    _print(str(text))
  except errors.UserError as e:
    print(f"error: {' '.join(str(e).split())}", file=sys.stderr)
    sys.exit(2)


def config(flag: flags.FlagHolder) -> ConfigDict:
  """Returns the config that `--config` names."""
  if flag.value is None:
    raise errors.UserError("--config is missing; give --config=configs/x.py")
  try:
    return flag.value.lock()
  except OSError as e:  # ml_collections raises it at the first use
    path = config_flags.get_config_filename(flags.FLAGS[flag.name])
    file = path.partition(":")[0]
    raise errors.UserError(
      f"--config={file} cannot be read; name one of the files in configs/"
    ) from e


def _print(text: str) -> None:
  """Prints, also to a reader such as `head` that does not take it all."""
  try:
    print(text, flush=True)
  except BrokenPipeError:
    # Python would complain once more when it flushes at its end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run_name(config: str) -> str:
  """Names a run after its `--config`: "gaitbase_grew" for gaitbase.py:grew."""
  file, _, variant = config.partition(":")
  return "_".join(filter(None, (pathlib.Path(file).stem, variant)))


def _main(main: Callable[[list[str]], None], argv: list[str]) -> None:
  if len(argv) > 1:
    raise errors.UserError(f"unknown arguments: {' '.join(argv[1:])}")
  logging.set_verbosity(logging.WARNING)
  # Warnings of libraries are not shown: TFDS warns of its own deprecated calls.
  logging.get_absl_handler().addFilter(
    lambda record: (
      record.levelno > WARNING or "data_pipelines" in record.pathname
    )
  )
  main(argv)


def _parse(argv: list[str]) -> list[str]:
  """Parses the flags; what is wrong in them is a UserError."""
  try:
    return flags.FLAGS(argv)
  except (AttributeError, KeyError, TypeError, flags.Error) as e:
    raise errors.UserError(_reason(e)) from e


def _reason(error: BaseException) -> str:
  """What is wrong, in one line.

  Of a config file that fails it is the last line of the traceback.
  """
  if isinstance(error, KeyError):  # ml_collections gives the key alone
    return f"the config has no key {' '.join(str(error.args[0]).split())}"
  lines = [line.strip() for line in str(error).splitlines() if line.strip()]
  if any(line.startswith("Traceback") for line in lines):
    lines = [lines[0], lines[-1]]
    if (mistake := _first_mistake(error)) is not None:
      lines = [str(mistake)]
  return " ".join(lines)


def _first_mistake(error: BaseException) -> errors.UserError | None:
  """The UserError that libraries have wrapped, if there is one."""
  found, cause = None, error.__context__
  while cause is not None:
    if isinstance(cause, errors.UserError):
      found = cause
    cause = cause.__context__
  return found
