"""FreeGait, from pickles of silhouettes."""

from data_pipelines import partitions
from data_pipelines import source
from data_pipelines import tree

SOURCE = source.Source(
  title="FreeGait",
  layouts=(
    tree.Layout(
      r"(?P<subject>\d{4})/(?P<condition>devid_?\d+)/(?P<view>seq_\d+(_new)?)",
      "<id>/<device>/<sequence>, such as 0001/devid_3/seq_00_new",
      inside="image",
    ),
  ),
  # Its lists are OpenGait's FreeGait.json, which the user gives.
  partition=partitions.Partition(train=None, test=()),
  # By name: image, kp3d, lidar, range_pkl, smpl.
  pickle_of=(0, 5),
)
