"""Any tree in OpenGait's layout as a TFDS dataset."""

from data_pipelines import partitions
from data_pipelines import source
from data_pipelines import tree
from data_pipelines import tree_builder

SOURCE = source.Source(
  title="a data set in OpenGait's layout",
  layouts=(
    tree.Layout(
      r"(?P<subject>[^.].*)/(?P<condition>[^.].*)/(?P<view>[^.].*)",
      "<subject>/<condition>/<view>, such as 0500/00/090",
    ),
  ),
  # Nobody's own division: the user gives one.
  partition=partitions.Partition(train=None, test=()),
)


class Builder(tree_builder.TreeBuilder):
  """Prepares any tree; made by `from_tree`."""

  SOURCE = SOURCE
