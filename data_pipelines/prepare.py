r"""Prepares a data set, with a bar, and says what came of it.

python -m data_pipelines.prepare --dataset=gait3d --root=~/2D_Silhouettes

With the extra `beam`, Apache Beam reads the large sets on many machines, which
see the tree and the prepared folder under the same paths:

python -m data_pipelines.prepare --dataset=grew --root=/nfs/GREW \
  --prepared=/nfs/tfds --beam_pipeline_options=runner=FlinkRunner,parallelism=64
"""

import argparse
from collections.abc import Sequence
from logging import WARNING
import os
import pathlib
import sys
import types
from typing import Any

from absl import flags
from absl import logging

from data_pipelines import datasets
from gaitkd_jax import errors


class _Parser(argparse.ArgumentParser):
  def error(self, message: str) -> None:
    raise errors.UserError(f"{message}; see --help")


def _parser() -> argparse.ArgumentParser:
  parser = _Parser(prog="python -m data_pipelines.prepare", description=__doc__)
  parser.formatter_class = argparse.RawDescriptionHelpFormatter
  add = parser.add_argument
  add("--dataset", required=True, help=f"one of {', '.join(datasets.NAMES)}")
  add("--root", default="", help="folder of the real data")
  add("--prepared", default="~/tensorflow_datasets", help="where to keep it")
  add("--modalities", default="silhouettes", help="silhouettes,heatmaps")
  add("--pickles", default="", help="such as silhouettes=6,heatmaps=heatmap")
  add("--partition", default="", help="halves, or a JSON file of OpenGait's")
  add("--variant", default="tiny", help="size of walkers")
  add(
    "--beam_pipeline_options",
    help="reads with Apache Beam; such as runner=DirectRunner",
  )
  return parser


def _beam_config(options: str | None) -> Any:
  """Makes TFDS's settings of Beam from `name=value,...`."""
  if options is None:
    return None
  try:
    from apache_beam.options import pipeline_options
  except ImportError as error:
    raise errors.UserError(
      f"--beam_pipeline_options: Apache Beam cannot be imported ({error}); "
      "install the extra beam, or leave the flag out"
    ) from error
  from apache_beam import runners
  import tensorflow_datasets as tfds

  parsed = pipeline_options.PipelineOptions(
    flags=[f"--{option}" for option in options.split(",") if option]
  )
  runner = parsed.view_as(pipeline_options.StandardOptions).runner
  try:
    runners.create_runner(runner or "DirectRunner")
  except (ImportError, ValueError) as error:
    raise errors.UserError(
      f"--beam_pipeline_options: the runner {runner} cannot be used ({error});"
      " give runner=DirectRunner or another of Beam's"
    ) from error
  return tfds.download.DownloadConfig(beam_options=parsed)


def main(arguments: Sequence[str]) -> None:
  """Prepares the data set that the arguments name.

  Args:
    arguments: those of the command line.

  Raises:
    errors.UserError: an argument, or the data, cannot be used.
  """
  given = _parser().parse_args(arguments)
  data = types.SimpleNamespace(
    name=given.dataset,
    root=given.root,
    prepared=given.prepared,
    variant=given.variant,
    partition=given.partition,
    modalities=tuple(given.modalities.split(",")),
    pickles=given.pickles,
    train_subjects=(),
    test_subjects=(),
  )
  builder = datasets.prepare(data, _beam_config(given.beam_pipeline_options))
  for split, info in builder.info.splits.items():
    print(f"{split}: {info.num_examples} sequences in {info.num_shards} files")
  print(f"prepared: {builder.data_dir}")
  report = pathlib.Path(builder.data_dir, "skipped.txt")
  if report.exists():
    skipped = len(report.read_text().splitlines())
    print(f"skipped: {skipped} sequences, listed with reasons in {report}")


if __name__ == "__main__":
  # TensorFlow's own notices would hide the bar.
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
  flags.FLAGS.mark_as_parsed()  # absl's own, which it logs by
  logging.use_absl_handler()
  # Of the libraries only errors: TFDS warns of what is meant to be so.
  logging.get_absl_handler().addFilter(
    lambda record: (
      record.levelno > WARNING or "data_pipelines" in record.pathname
    )
  )
  try:
    main(sys.argv[1:])
  except errors.UserError as e:
    print(f"error: {' '.join(str(e).split())}", file=sys.stderr)
    sys.exit(2)
