"""What the programs `prepare` and `inspect` share: flags, logs, mistakes."""

import argparse
from collections.abc import Callable
from collections.abc import Sequence
from logging import WARNING
import os
import signal
import sys
import traceback
import types

from absl import flags
from absl import logging

from data_pipelines import datasets
from gaitkd_jax import errors

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class _Parser(argparse.ArgumentParser):
  def error(self, message: str) -> None:
    raise errors.UserError(f"{message}; see --help")


def parser(program: str, description: str | None) -> argparse.ArgumentParser:
  """Returns a parser that has the flags which name a data set.

  Args:
    program: name of the module below `data_pipelines`.
    description: its docstring.
  """
  made = _Parser(
    prog=f"python -m data_pipelines.{program}",
    description=description,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  add = made.add_argument
  add("--dataset", required=True, help=f"one of {', '.join(datasets.NAMES)}")
  add("--root", default="", help="folder of the real data")
  add(
    "--prepared",
    default="~/tensorflow_datasets",
    help="where prepared data are kept",
  )
  add("--modalities", default="silhouettes", help="silhouettes,heatmaps")
  add("--pickles", default="", help="such as silhouettes=6,heatmaps=heatmap")
  add("--partition", default="", help="halves, or a JSON file of OpenGait's")
  add(
    "--skip_damaged",
    action="store_true",
    help="go on without damaged and refused files",
  )
  add("--variant", default="tiny", help="size of walkers")
  return made


def data(given: argparse.Namespace) -> types.SimpleNamespace:
  """Returns what `datasets.prepare` takes, from the flags of `parser`."""
  return types.SimpleNamespace(
    name=given.dataset,
    root=given.root,
    prepared=given.prepared,
    variant=given.variant,
    partition=given.partition,
    modalities=tuple(given.modalities.split(",")),
    pickles=given.pickles,
    skip_damaged=given.skip_damaged,
    train_subjects=(),
    test_subjects=(),
  )


def _stop(number: int, frame: object) -> None:
  """Ends what runs; a second signal ends the program at once."""
  del frame
  for other in _SIGNALS:
    signal.signal(other, signal.SIG_DFL)
  stop = errors.Stopped(f"stopped by {signal.Signals(number).name}")
  stop.signal = number
  raise stop


def run(main: Callable[[Sequence[str]], None]) -> None:
  """Runs a program; a user's mistake is one line and status 2.

  So is SIGTERM and ctrl-C, with status `errors.STOPPED` if the same command
  goes on with what was done, else 128 and the signal's number.
  """
  flags.FLAGS.mark_as_parsed()  # absl's logging has flags, which are not used
  logging.use_absl_handler()
  # TensorFlow is loaded later; it would warn of what is raised here.
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
  # Only errors of the libraries: TFDS warns about intended settings.
  logging.get_absl_handler().addFilter(
    lambda record: (
      record.levelno > WARNING or "data_pipelines" in record.pathname
    )
  )
  for number in _SIGNALS:
    # A shell starts what is to run in the background without SIGINT.
    if signal.getsignal(number) != signal.SIG_IGN:
      signal.signal(number, _stop)
  try:
    main(sys.argv[1:])
  except errors.Stopped as e:
    # Ends the processes and threads that generators have started.
    traceback.clear_frames(e.__traceback__)
    print(" ".join(str(e).split()), file=sys.stderr, flush=True)
    os._exit(errors.STOPPED if e.saved else 128 + (e.signal or 0))
  except errors.UserError as e:
    print(f"error: {' '.join(str(e).split())}", file=sys.stderr)
    sys.exit(2)
