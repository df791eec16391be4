"""The formats in which poses are shipped, and which of them an input is."""

import pathlib

from data_pipelines.poses import arrays
from data_pipelines.poses import gaitgraph
from data_pipelines.poses import json_files
from data_pipelines.poses import sequence as sequence_lib
from data_pipelines.poses import text_files
from gaitkd_jax.errors import UserError

# The first that fits is taken. GREW's text files would pass for Gait3D's,
# SUSTech1K's pickles for any arrays.
FORMATS = {
  each.name: each
  for each in (
    json_files.OUMVLP,
    gaitgraph.FORMAT,
    text_files.GREW,
    arrays.SUSTECH1K,
    arrays.FORMAT,
    text_files.GAIT3D,
    json_files.COCO,
    json_files.OPENPOSE,
  )
}


def _detect(root: pathlib.Path) -> sequence_lib.Format | None:
  return next((f for f in FORMATS.values() if f.fits(root)), None)


def detect(root: pathlib.Path) -> sequence_lib.Format:
  """Finds out of which format an input is.

  Args:
    root: a folder, or a CSV file.

  Returns:
    The format.

  Raises:
    UserError: it is of none, or a folder in it is meant.
  """
  if found := _detect(root):
    return found
  for path in sequence_lib.subfolders(root)[:20]:
    if found := _detect(path):
      raise UserError(
        f"{root} holds {path}, which is of the format {found.name}; give that"
      )
  raise UserError(
    f"{root} holds no <id>/<condition>/<view>/ with poses, nor another format;"
    " give one of those that --help lists"
  )
