"""Gait3D, from PNG silhouettes or pickles."""

import pathlib

from data_pipelines import partitions
from data_pipelines import source
from data_pipelines import tree

# The benchmark's query list.
_PROBES = tuple(
  partitions.load(pathlib.Path(__file__).parent / "partition.json")["probes"]
)

SOURCE = source.Source(
  title="Gait3D",
  layouts=(
    tree.Layout(
      r"(?P<subject>\d{4})/(?P<condition>camid\d+_videoid\d+)/(?P<view>seq\d+)",
      "<subject>/<camera and video>/<sequence>, such as "
      "0000/camid0_videoid2/seq0",
    ),
  ),
  partition=partitions.Partition(
    train=None,
    # Every test subject has one probe.
    test=tuple(name.split("-")[0] for name in _PROBES),
    probes=_PROBES,
  ),
)
