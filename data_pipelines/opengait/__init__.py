"""Any data set in OpenGait's layout, divided by a partition of the user's."""

from data_pipelines import partitions
from data_pipelines import source
from data_pipelines import tree

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
