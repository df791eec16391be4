"""FreeGait as a TFDS dataset."""

from data_pipelines import freegait
from data_pipelines import tree_builder


class Builder(tree_builder.TreeBuilder):
  """Prepares FreeGait; see `tree_builder`."""

  SOURCE = freegait.SOURCE
