"""CASIA-E, from image files or pickles."""

from data_pipelines import partitions
from data_pipelines import pretreatment
from data_pipelines import source
from data_pipelines import tree

SOURCE = source.Source(
  title="CASIA-E",
  layouts=(
    tree.Layout(
      r"(?P<subject>\d{3,4})/(?P<height>[HL])/(?P<scene>scene\d(_s)?)"
      r"/(?P<walk>nm|bg|cl)/(?P<view>\d{3})/(?P<take>\d+)",
      "<id>/<height>/<scene>/<walk>/<view>/<take>, such as "
      "001/H/scene1/nm/000/1",
      condition="{height}-{scene}-{walk}-{take}",
    ),
    tree.Layout(
      r"(?P<subject>\d{3,4})/(?P<condition>[HL]-scene\d(_s)?-(nm|bg|cl)-\d+)"
      r"/(?P<view>\d{3})",
      "<id>/<type>/<view>, such as 001/H-scene1-nm-1/000",
    ),
  ),
  # OpenGait's; the publisher's own trains on 500.
  partition=partitions.Partition(
    train=partitions.ids([(1, 200)], digits=3),
    test=partitions.ids([(201, 1014)], digits=3),
  ),
  pretreat=pretreatment.scale_frame,
)
