"""SUSTech1K, from PNG silhouettes or pickles."""

import pathlib

from data_pipelines import partitions
from data_pipelines import source
from data_pipelines import tree

_LISTS = partitions.load(pathlib.Path(__file__).parent / "partition.json")

SOURCE = source.Source(
  title="SUSTech1K",
  layouts=(
    tree.Layout(
      r"(?P<subject>\d{4})/(?P<condition>\d{2}-.+)/(?P<view>\d{3}([-_].*)?)",
      "<subject>/<condition>/<view>, such as 0000/00-nm/090",
      inside=r"(?i).*sil.*align.*|.*align.*sil.*|sils?|silhouettes?",
    ),
  ),
  partition=partitions.Partition(
    train=partitions.ids(_LISTS["train"], _LISTS["digits"]),
    test=partitions.ids(_LISTS["test"], _LISTS["digits"]),
  ),
  # The seventh of the sixteen modalities: aligned silhouettes of the camera.
  pickle_of=(6, 16),
)
