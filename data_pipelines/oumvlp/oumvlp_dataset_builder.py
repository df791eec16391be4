"""OU-MVLP as a TFDS dataset."""

from data_pipelines import oumvlp
from data_pipelines import tree_builder


class Builder(tree_builder.TreeBuilder):
  """Prepares OU-MVLP; see `tree_builder`."""

  SOURCE = oumvlp.SOURCE
