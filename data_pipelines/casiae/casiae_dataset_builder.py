"""CASIA-E as a TFDS dataset."""

from data_pipelines import casiae
from data_pipelines import tree_builder


class Builder(tree_builder.TreeBuilder):
  """Prepares CASIA-E; see `tree_builder`."""

  SOURCE = casiae.SOURCE
