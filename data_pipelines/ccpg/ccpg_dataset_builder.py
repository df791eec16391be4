"""CCPG as a TFDS dataset."""

from data_pipelines import ccpg
from data_pipelines import tree_builder


class Builder(tree_builder.TreeBuilder):
  """Prepares CCPG; see `tree_builder`."""

  SOURCE = ccpg.SOURCE
