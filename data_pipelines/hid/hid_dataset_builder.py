"""HID as a TFDS dataset."""

from collections.abc import Mapping
from typing import ClassVar

from data_pipelines import hid
from data_pipelines import tree_builder


class Builder(tree_builder.TreeBuilder):
  """Prepares HID; see `tree_builder`.

  Attributes:
    HINTS: what to do where a split has no sequences.
  """

  SOURCE = hid.SOURCE
  HINTS: ClassVar[Mapping[str, str]] = {
    "train": "HID has had no training set since 2023: train on another data "
    "set and evaluate with --config.data.name=hid, or give data.partition"
  }
