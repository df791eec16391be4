"""SUSTech1K as a TFDS dataset."""

from data_pipelines import sustech1k
from data_pipelines import tree_builder


class Builder(tree_builder.TreeBuilder):
  """Prepares SUSTech1K; see `tree_builder`."""

  SOURCE = sustech1k.SOURCE
