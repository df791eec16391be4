r"""Prepares a data set, shows progress, and prints what was prepared.

python -m data_pipelines.prepare --dataset=gait3d --root=~/2D_Silhouettes

Started again after it was stopped, it goes on. Both folders may lie in an
object store (gs://, s3://); data are prepared in a folder of TMPDIR then.

With the extra `beam`, Apache Beam reads a large data set on many machines. All
of them must see the tree and the prepared folder under the same paths:

python -m data_pipelines.prepare --dataset=grew --root=/nfs/GREW \
  --prepared=/nfs/tfds --beam_pipeline_options=runner=FlinkRunner,parallelism=64
"""

from collections.abc import Sequence
from typing import Any

from data_pipelines import build_notes
from data_pipelines import command_line
from data_pipelines import datasets
from gaitkd_jax import errors
from gaitkd_jax import storage


def _beam_config(options: str | None) -> Any:
  """Returns TFDS's settings of Beam from `name=value,...`."""
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
  parser = command_line.parser("prepare", __doc__)
  parser.add_argument(
    "--beam_pipeline_options",
    help="reads with Apache Beam; such as runner=DirectRunner",
  )
  given = parser.parse_args(arguments)
  if given.beam_pipeline_options is not None and storage.is_remote(
    given.prepared
  ):
    raise errors.UserError(
      f"--prepared {given.prepared}: Beam's workers write to a folder that all "
      "of them see; give such a folder, or leave --beam_pipeline_options out"
    )
  builder = datasets.prepare(
    command_line.data(given), _beam_config(given.beam_pipeline_options)
  )
  for split, info in builder.info.splits.items():
    print(f"{split}: {info.num_examples} sequences in {info.num_shards} files")
  print(f"prepared: {builder.data_dir}")
  for line in build_notes.summary(builder.data_dir):
    print(line)


if __name__ == "__main__":
  command_line.run(main)
