"""CCPG (Cloth-Changing Person Gait), from PNG silhouettes or pickles."""

from data_pipelines import partitions
from data_pipelines import pretreatment
from data_pipelines import source
from data_pipelines import tree

SOURCE = source.Source(
  title="CCPG",
  layouts=(
    tree.Layout(
      r"(?P<subject>\d{3})/(?P<condition>U\d_D\d(_BG)?)/(?P<view>\d+(_.*)?)",
      "<subject>/<clothes>/<camera>_..., such as 000/U0_D0_BG/01_0",
    ),
  ),
  partition=partitions.Partition(
    train=partitions.ids([(0, 99)], digits=3),
    test=partitions.ids([(100, 199)], digits=3),
  ),
  pretreat=pretreatment.pretreat_area_frame,
)
