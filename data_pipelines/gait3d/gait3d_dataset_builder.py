"""Gait3D as a TFDS dataset."""

from data_pipelines import gait3d
from data_pipelines import tree_builder


class Builder(tree_builder.TreeBuilder):
  """Prepares Gait3D; see `tree_builder`."""

  SOURCE = gait3d.SOURCE
