"""What the tests ask `datasets.prepare` for, and what they find prepared."""

import pathlib
import types

from data_pipelines import build_notes
from data_pipelines import datasets
from tests.helpers import mistakes


def data_of(name, root="", **values):
  """The section `data` of a config; data are prepared beside the tree."""
  settings = dict(
    name=name,
    root=str(root),
    prepared=f"{root}_prepared",
    variant="tiny",
    modalities=("silhouettes",),
    partition="",
    train_subjects=(),
    test_subjects=(),
  )
  return types.SimpleNamespace(**settings | values)


def read(builder, feature="silhouettes"):
  """Returns {split: {name: frames}}; checks the names."""
  found = {}
  for split in builder.info.splits:
    found[split] = {}
    for row in builder.as_dataset(split=split).as_numpy_iterator():
      key = [row[k].decode() for k in ("subject", "condition", "view")]
      assert row["name"].decode() == "-".join(key)
      found[split]["-".join(key)] = row[feature]
  return found


def names(builder):
  """Returns {split: sorted names of its sequences}."""
  return {split: sorted(part) for split, part in read(builder).items()}


def skipped(builder):
  """The text that lists what was skipped."""
  return pathlib.Path(builder.data_dir, build_notes.SKIPPED_FILE).read_text()


def refusal(data):
  """The one line with which preparing `data` ends."""
  return mistakes.message(datasets.prepare, data)
