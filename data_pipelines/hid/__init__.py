"""HID (the competition), from PNG silhouettes or pickles."""

from data_pipelines import partitions
from data_pipelines import pretreatment
from data_pipelines import source
from data_pipelines import tree

# Archives unpack to gallery and probe, or to names of that year's or phase's.
_GALLERY = r"(HID\d{4}_test_)?gallery"
_PROBE = r"(HID\d{4}_test_)?probe(_phase\d)?"

SOURCE = source.Source(
  title="HID",
  layouts=(
    # Named as OpenGait's script names them: the sequence is the condition.
    tree.Layout(
      r"train/(?P<subject>\d{4})/(?P<condition>[^.].*)",
      "train/<id>/<sequence>",
      view="default",
    ),
    tree.Layout(
      rf"{_GALLERY}/(?P<subject>\d{{4,5}})/(?P<condition>[^.].*)",
      "gallery/<id>/<sequence>",
      view="default",
    ),
    tree.Layout(
      rf"{_PROBE}/(?P<condition>[^.].*)",
      "probe/<sequence>",
      subject="probe",
      view="default",
    ),
    tree.Layout(
      r"(?P<subject>\d{4,5})/(?P<condition>[^.].*)/(?P<view>[^.].*)",
      "<id>/<type>/<view>, such as 0500/00/default",
    ),
    tree.Layout(
      rf"{_GALLERY}/(?P<subject>\d{{4,5}})/(?P<condition>[^.].*)/(?P<view>[^.].*)",
      "gallery/<id>/<type>/<view>",
    ),
    tree.Layout(
      rf"{_PROBE}/(?P<condition>[^.].*)/(?P<view>[^.].*)",
      "probe/<type>/<view>",
      subject="probe",
    ),
  ),
  partition=partitions.Partition(
    train=partitions.ids([(0, 499)], digits=4),
    test=(
      *partitions.ids([(500, 1004)], digits=4),
      "probe",
      # Since 2023: other people, and nobody to train on.
      *partitions.ids([(0, 858)], digits=5),
    ),
  ),
  pretreat=pretreatment.scale_frame,
)
