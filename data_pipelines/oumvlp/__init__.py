"""OU-MVLP (Multi-View Large Population), from PNG files or pickles."""

from data_pipelines import partitions
from data_pipelines import source
from data_pipelines import tree

SOURCE = source.Source(
  title="OU-MVLP",
  layouts=(
    tree.Layout(
      r"Silhouette_(?P<view>\d{3})-(?P<condition>\d{2})/(?P<subject>\d{5})",
      "Silhouette_<view>-<condition>/<subject>, such as "
      "Silhouette_090-01/00001",
    ),
    tree.Layout(
      r"(?P<subject>\d{5})/(?P<condition>\d{2})/(?P<view>\d{3})",
      "<subject>/<condition>/<view>, such as 00001/01/090",
    ),
  ),
  partition=partitions.Partition(
    train=partitions.ids(range(1, 10306, 2), digits=5),
    test=partitions.ids([*range(2, 10307, 2), 10307], digits=5),
  ),
)
