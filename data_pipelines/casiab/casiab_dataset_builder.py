"""CASIA-B as a TFDS dataset."""

from data_pipelines import casiab
from data_pipelines import tree_builder


class Builder(tree_builder.TreeBuilder):
  """Prepares CASIA-B; see `tree_builder`."""

  SOURCE = casiab.SOURCE
