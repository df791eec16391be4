"""Makes heat maps of limbs and joints from 2-D poses, as they are published.

python scripts/make_heatmaps.py --input=2D_Poses --output=heatmaps \
  --silhouettes=2D_Silhouettes

`--input` is a publisher's tree, or what a pose estimator wrote; `--help` lists
the formats. What is written is OpenGait's layout:
`<output>/<id>/<condition>/<view>/0_heatmap.pkl`, uint8 [frames, 2, 64, 64].
With `--silhouettes`, `1_sil.pkl` lies beside it: a link to the pickle of the
same sequence, or the images, pre-treated, of the frames that the poses have,
too. If the program is stopped and started again, it goes on; sequences that
cannot be used are left out and listed.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys

import tqdm

from data_pipelines.poses import arrays
from data_pipelines.poses import conversion
from data_pipelines.poses import formats
from gaitkd_jax import errors
from gaitkd_jax import storage


def _check(args: argparse.Namespace) -> None:
  for flag in ("input", "output", "silhouettes"):
    storage.on_disk(getattr(args, flag) or "", f"--{flag}")
  if args.processes < 1:
    raise errors.UserError(f"--processes is {args.processes}; give 1 or more")
  if not args.input.is_dir() and not (
    args.input.is_file() and args.input.suffix.lower() == ".csv"
  ):
    raise errors.UserError(
      f"--input {args.input} is not a folder; give the one that holds"
      " <id>/<condition>/<view>, or a .csv"
    )
  if args.silhouettes is not None and not args.silhouettes.is_dir():
    raise errors.UserError(
      f"--silhouettes {args.silhouettes} is not a folder; give the one that"
      " holds <id>/<condition>/<view>"
    )
  output = args.output.resolve()
  for flag in ("input", "silhouettes"):
    root = getattr(args, flag)
    if root is not None and root.resolve() in (output, *output.parents):
      raise errors.UserError(
        f"--output {args.output} is in --{flag}; give a folder elsewhere"
      )


def find(args: argparse.Namespace) -> list[conversion.Job]:
  """Lists the sequences of the input, and says of which format they are.

  Raises:
    errors.UserError: an argument is wrong, or there is no sequence.
  """
  _check(args)
  chosen = arrays.parse_choice(args.pickles)
  try:
    if args.format:
      found = formats.FORMATS[args.format]
    else:
      found = formats.detect(args.input)
    sequences = found.find(args.input)
  except OSError as error:
    raise errors.UserError(
      f"{error.filename}: cannot be read ({error.strerror})"
    ) from None
  if not sequences:
    raise errors.UserError(
      f"--input {args.input} holds no {found.text}, which is the format"
      f" {found.name}"
    )
  if "poses" in chosen and found not in (arrays.FORMAT, arrays.SUSTECH1K):
    raise errors.UserError(
      f"--pickles {args.pickles}: the format {found.name} has no pickles of"
      " poses; leave poses=... out"
    )
  print(
    f"format {found.name} ({found.text}): {len(sequences)} sequences",
    flush=True,
  )
  return [
    conversion.Job(
      found.name,
      sequence,
      args.output / sequence.folder,
      args.silhouettes,
      args.copy,
      chosen,
    )
    for sequence in sequences
  ]


def run(args: argparse.Namespace) -> None:
  """Converts a tree, shows progress, and lists what was left out."""
  jobs = find(args)
  todo = [job for job in jobs if args.overwrite or not job.finished]
  processes = max(1, min(args.processes, len(todo)))
  outcomes = list(
    tqdm.tqdm(
      conversion.convert_all(todo, processes),
      desc="heat maps",
      total=len(todo),
      unit="sequence",
      disable=None,  # where standard error is no terminal
    )
  )
  failed = [outcome.reason for outcome in outcomes if outcome.reason]
  for reason in failed:
    print(f"left out: {reason}", file=sys.stderr)
  partly = [o for o in outcomes if o.poses or o.silhouettes]
  if partly:
    print(
      f"{len(partly)} sequences have frames without a partner of the same"
      f" number, which are left out: {sum(o.poses for o in partly)} of poses,"
      f" {sum(o.silhouettes for o in partly)} of silhouettes"
    )
  print(
    f"{len(todo) - len(failed)} sequences written to {args.output},"
    f" {len(jobs) - len(todo)} were there, {len(failed)} left out"
  )
  if len(failed) == len(jobs):
    raise errors.UserError(f"no sequence of {args.input} can be used")


def main() -> None:
  """Parses the command line; a user's mistake is one line and status 2."""
  known = "\n".join(f"  {f.name}: {f.text}" for f in formats.FORMATS.values())
  parser = argparse.ArgumentParser(
    description=__doc__.split("\n")[0],
    epilog=f"formats:\n{known}",
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument(
    "--input", type=pathlib.Path, required=True, help="tree or table of poses"
  )
  parser.add_argument(
    "--output", type=pathlib.Path, required=True, help="tree to write"
  )
  parser.add_argument(
    "--silhouettes",
    type=pathlib.Path,
    help="tree of silhouettes to put beside: pickles, or images",
  )
  parser.add_argument(
    "--format",
    choices=tuple(formats.FORMATS),
    help="of the poses, if it is not found out",
  )
  parser.add_argument(
    "--pickles",
    default="",
    help="which of several in a folder, by index (from 0, by name) or part of"
    " the name: poses=3,silhouettes=6, which is the rule for sixteen",
  )
  parser.add_argument(
    "--copy", action="store_true", help="copy the silhouettes, do not link"
  )
  parser.add_argument(
    "--overwrite", action="store_true", help="make what is there again"
  )
  parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
  try:
    run(parser.parse_args())
  except errors.UserError as error:
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
  main()
