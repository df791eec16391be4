"""Any tree in OpenGait's layout as a TFDS dataset."""

from data_pipelines import opengait
from data_pipelines import tree_builder


class Builder(tree_builder.TreeBuilder):
  """Prepares any tree; see `tree_builder`."""

  SOURCE = opengait.SOURCE
