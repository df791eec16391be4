"""CASIA-B as a TFDS dataset."""

from data_pipelines import partitions
from data_pipelines import source
from data_pipelines import tree
from data_pipelines import tree_builder

SOURCE = source.Source(
  title="CASIA-B",
  layouts=(
    tree.Layout(
      r"(?P<subject>\d{3})/(?P<condition>(nm|bg|cl)-\d{2})/(?P<view>\d{3})",
      "<subject>/<condition>/<view>, such as 001/nm-01/090",
    ),
  ),
  partition=partitions.Partition(
    train=partitions.ids([(1, 74)], digits=3),
    test=partitions.ids([(75, 124)], digits=3),
  ),
)


class Builder(tree_builder.TreeBuilder):
  """Prepares CASIA-B; made by `from_tree`."""

  SOURCE = SOURCE
