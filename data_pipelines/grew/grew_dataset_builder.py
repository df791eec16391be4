"""GREW as a TFDS dataset."""

from data_pipelines import grew
from data_pipelines import tree_builder


class Builder(tree_builder.TreeBuilder):
  """Prepares GREW; see `tree_builder`."""

  SOURCE = grew.SOURCE
