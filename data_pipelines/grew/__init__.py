"""GREW (Gait REcognition in the Wild), from PNG silhouettes or pickles."""

from data_pipelines import partitions
from data_pipelines import source
from data_pipelines import tree

SOURCE = source.Source(
  title="GREW",
  layouts=(
    tree.Layout(
      r"train/(?P<subject>\d{5})/(?P<view>[^.].*)",
      "train/<id>/<sequence>",
      subject="{subject}train",
      condition="00",
    ),
    # The two sequences of a gallery subject are the conditions 01 and 02.
    tree.Layout(
      r"test/gallery/(?P<subject>\d{5})/(?P<view>[^.].*)",
      "test/gallery/<id>/<sequence>",
      condition="{rank:02d}",
    ),
    tree.Layout(
      r"test/probe/(?P<view>[^.].*)",
      "test/probe/<sequence>",
      subject="probe",
      condition="03",
    ),
    tree.Layout(
      r"(?P<subject>\d{5}(train)?|probe)/(?P<condition>\d{2})/(?P<view>[^.].*)",
      "<subject>/<condition>/<sequence>, such as 00001train/00/4XPn5Z28",
    ),
  ),
  partition=partitions.Partition(
    train=partitions.ids([(1, 20000)], digits=5, suffix="train"),
    test=(*partitions.ids([(1, 6000)], digits=5), "probe"),
  ),
)
