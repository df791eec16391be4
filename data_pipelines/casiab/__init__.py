"""CASIA-B (Gait Database, Dataset B), from PNG silhouettes or pickles."""

from data_pipelines import partitions
from data_pipelines import source
from data_pipelines import tree

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
