"""Arrays of a sequence each: OpenGait's pickles, and SUSTech1K's.

A folder `<id>/<condition>/<view>/` has a .pkl, .npz or .npy of [t, 17, 3]
(COCO) or [t, 18, 3] (OpenPose). Such are the poses that OpenGait's and
FastPoseGait's scripts write, those of CCPG, and CASIA-B-Pose
(`misc/CASIA-B_Pose.md` of https://github.com/BNU-IVC/FastPoseGait).

SUSTech1K's publisher ships sixteen pickles a folder, among them
`03-<view>-Camera-Pose.pkl` and, of the same frames,
`06-<view>-Camera-Sils_aligned.pkl`. Their order is that in which
`datasets/SUSTech1K/pretreatment_SUSTech1K.py` of
https://github.com/ShiqiYu/OpenGait writes them; its
`datasets/pretreatment_heatmap.py` takes `03*.pkl`.
"""

from collections.abc import Iterator
import itertools
import pathlib

from data_pipelines import heatmaps
from data_pipelines.poses import sequence as sequence_lib
from gaitkd_jax.errors import UserError

SUFFIXES = (".pkl", ".npz", ".npy")
# Of SUSTech1K's sixteen pickles, counted from 0.
SIXTEEN = 16
POSES, SILHOUETTES = 3, 6


def parse_choice(text: str) -> dict[str, str]:
  """Parses the choice among several pickles, "poses=3,silhouettes=Sils".

  Returns:
    The index or the part of a name, by what is chosen.

  Raises:
    UserError: the text is not of this form.
  """
  found = {}
  for item in text.split(",") if text else ():
    kind, _, wanted = item.partition("=")
    if kind not in ("poses", "silhouettes") or not wanted or kind in found:
      raise UserError(
        f"--pickles {text!r}: give poses=<index or part of the name>, and"
        " silhouettes=<...> after a comma, such as poses=3,silhouettes=6"
      )
    found[kind] = wanted
  return found


def choose(
  folder: pathlib.Path,
  suffixes: tuple[str, ...],
  kind: str,
  wanted: str,
  of_sixteen: int,
) -> pathlib.Path:
  """Returns the file of a folder that holds what is wanted.

  Args:
    folder: it need not exist.
    suffixes: of the files that count.
    kind: "poses" or "silhouettes".
    wanted: an index (from 0, by name) or a part of the name; if empty, it is
      the only file, else the one named as the folder, else a place among
      sixteen.
    of_sixteen: that place.

  Raises:
    UserError: none fits, or several do.
  """
  # By plain names, as `data.pickles` and OpenGait count.
  files = sorted(sequence_lib.files(folder, *suffixes), key=lambda p: p.name)
  if wanted.isdecimal():
    fitting = files[int(wanted) : int(wanted) + 1]
  elif wanted:
    fitting = [path for path in files if wanted in path.name]
  else:
    fitting = [path for path in files if path.stem == folder.name] or files
    if len(fitting) == SIXTEEN:
      fitting = fitting[of_sixteen : of_sixteen + 1]
  if len(fitting) == 1:
    return fitting[0]
  if wanted:
    raise UserError(
      f"{folder}: --pickles {kind}={wanted} fits {len(fitting)} of {len(files)}"
      " files; give the index (from 0, by name) or a part of the name of one"
    )
  what = "key points" if kind == "poses" else kind
  names = ", ".join(path.name for path in files[:SIXTEEN])
  raise UserError(
    f"{folder}: {len(files)} files of {what} where one is expected"
    + (f" ({names}); say which with --pickles={kind}=..." if files else "")
  )


def _read(
  sequence: sequence_lib.PoseSequence, wanted: str
) -> sequence_lib.Poses:
  path = choose(sequence.path, SUFFIXES, "poses", wanted, POSES)
  return sequence_lib.Poses(heatmaps.read_key_points(path), str(path))


def _counts(root: pathlib.Path) -> Iterator[int]:
  """How many arrays lie in each folder that has some."""
  for folder in sequence_lib.folders(root, 3):
    if found := sequence_lib.files(folder, *SUFFIXES):
      yield len(found)


def _fits(root: pathlib.Path) -> bool:
  return next(_counts(root), 0) > 0


def _fits_sustech1k(root: pathlib.Path) -> bool:
  """Whether one of the first folders is whole."""
  return SIXTEEN in itertools.islice(_counts(root), 20)


FORMAT = sequence_lib.Format(
  "arrays",
  "<id>/<condition>/<view>/ with a .pkl, .npz or .npy",
  _fits,
  sequence_lib.by_folders,
  _read,
)
SUSTECH1K = sequence_lib.Format(
  "sustech1k",
  "<id>/<condition>/<view>/ with sixteen pickles",
  _fits_sustech1k,
  sequence_lib.by_folders,
  _read,
)
