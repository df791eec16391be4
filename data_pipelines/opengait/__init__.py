"""Any data set in OpenGait's layout, divided by a partition of the user's."""

import os
import re

from data_pipelines import partitions
from data_pipelines import source
from data_pipelines import tree
from gaitkd_jax.errors import UserError

SOURCE = source.Source(
  title="a data set in OpenGait's layout",
  layouts=(
    tree.Layout(
      r"(?P<subject>[^.].*)/(?P<condition>[^.].*)/(?P<view>[^.].*)",
      "<subject>/<condition>/<view>, such as 0500/00/090",
    ),
  ),
  # Nobody's own division: the user gives one.
  partition=partitions.Partition(train=None, test=()),
)

# What divides the trees of HID and GREW above their subjects; `probe` itself is
# a subject of OpenGait's trees of both.
_PARTS = re.compile(
  r"train|val|test|(hid\d+_test_)?gallery|hid\d+_test_probe|probe_phase\d",
  re.IGNORECASE,
)


def check_subjects(root: str | os.PathLike[str]) -> None:
  """Refuses a tree whose uppermost folders are parts of a data set.

  Each of them would be taken for one person.

  Args:
    root: of the tree; one that cannot be listed is left to `tree.scan`.

  Raises:
    UserError: there are such folders; says which data set to choose.
  """
  root = os.path.abspath(os.path.expanduser(root))
  names = _folders(root)
  parts = [name for name in names if _PARTS.fullmatch(name)]
  # Somebody may have called a person "test".
  if not parts or ({*map(str.lower, parts)} == {"test"} and len(names) > 1):
    return
  if "probe" in names:
    parts = sorted({*parts, "probe"})
  if {"gallery", "probe"} & set(_folders(os.path.join(root, "test"))):
    advice = "choose data.name=grew, for GREW's tree"
  elif any(re.search("gallery|probe", part, re.IGNORECASE) for part in parts):
    advice = "choose data.name=hid, for HID's tree"
  else:
    advice = (
      "move the subjects out of them into one folder, and say in "
      "data.partition who trains"
    )
  raise UserError(
    f"data.root {root}: its folders {', '.join(parts)} are parts of a data "
    f"set, and would be taken for people; {advice}."
  )


def _folders(path: str) -> list[str]:
  """Names of the subfolders that are not hidden; none if they are unknown."""
  try:
    with os.scandir(path) as entries:
      return sorted(
        entry.name
        for entry in entries
        if entry.is_dir() and not entry.name.startswith(".")
      )
  except OSError:
    return []
