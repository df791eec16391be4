"""Files for servers, by hand."""

import dataclasses

import ml_collections
import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.evaluation import protocols
from tests.helpers import evaluation_sets as sets

GREW = protocols.PROTOCOLS["grew_submission"]
HID = protocols.PROTOCOLS["hid_submission"]


def grew(subjects=24):
  """Two gallery sequences a subject at 10, 11, 20, 21, ..., and two probes."""
  rows = [
    (f"{i:05}", f"0{take}", f"g{i}{take}", 10 * i + take - 1)
    for i in range(1, subjects + 1)
    for take in (1, 2)
  ]
  probes = [("probe", "03", "zz", 1), ("probe", "03", "aa", 10.0 * subjects)]
  return sets.table(rows + probes)


def test_grew_submission():
  lines = GREW.lines(grew())
  ranked = ",".join(f"rank{k}" for k in range(1, 21))
  up = ",".join(f"{i},{i}" for i in range(1, 11))
  down = ",".join(f"{i},{i}" for i in range(24, 14, -1))
  assert lines == [f"videoId,{ranked}", f"zz,{up}", f"aa,{down}"]


def changed(chosen, column, old, new):
  """Replaces a label."""
  labels = getattr(chosen.labels, column)
  labels = np.where(labels == old, new, labels)
  return dataclasses.replace(
    chosen, labels=dataclasses.replace(chosen.labels, **{column: labels})
  )


@pytest.mark.parametrize(
  "data, words",
  [
    (grew(9), "gallery has 18 sequences and a line of the submission 20"),
    (changed(grew(), "subjects", "00003", "x3"), "2 gallery.*first 'x3'"),
    (changed(grew(), "views", "zz", "aa"), "2 probes have the name 'aa'"),
    (changed(grew(), "conditions", "03", "04"), "probe condition"),
  ],
)
def test_bad_grew_submissions_are_one_line(data, words):
  with pytest.raises(errors.UserError, match=words) as error:
    GREW.lines(data)
  assert "\n" not in str(error.value)


# One of 007 is nearest to the probe p1 but has six of its own nearer yet; the
# neighbours of 008's five include p1.
NEIGHBOURS = sets.table(
  [("008", "00", f"g{i}", x) for i, x in enumerate((1.1, 1.15, 1.2, 1.25, 1.3))]
  + [("probe", "00", "p1", 0.0), ("probe", "00", "p0", -9.0)]
  + [("007", "00", "h", -1.0)]
  + [("007", "00", f"h{i}", -1.3 - i / 100) for i in range(7)]
)


def test_hid_submission():
  plain = ["videoID,label", "p1,007", "p0,007"]
  assert (
    HID.lines(dataclasses.replace(NEIGHBOURS, options={"rerank": False}))
    == plain
  )
  assert HID.lines(NEIGHBOURS) == ["videoID,label", "p1,008", "p0,007"]


def test_hids_videos_are_named_by_their_condition_where_views_say_nothing():
  rows = [
    ("0500", "00", "default", 0),
    ("0501", "00", "default", 9),
    ("probe", "video2", "default", 8),
    ("probe", "video1", "default", 1),
    ("probe", "00", "video3", 7),
  ]
  data = dataclasses.replace(sets.table(rows), options={"rerank": False})
  assert HID.lines(data) == [
    "videoID,label",
    "video2,0501",
    "video1,0500",
    "video3,0501",
  ]
  with pytest.raises(errors.UserError, match="2 probes have the name 'video1'"):
    HID.lines(changed(data, "conditions", "video2", "video1"))


@pytest.mark.parametrize(
  "data, words",
  [
    (
      changed(NEIGHBOURS, "subjects", "probe", "9"),
      "0 sequences are of the subject 'probe'",
    ),
    (sets.take(NEIGHBOURS, slice(5, 7)), "0 of others"),
    (changed(NEIGHBOURS, "views", "p0", "p1"), "2 probes have the name 'p1'"),
  ],
)
def test_bad_hid_submissions_are_one_line(data, words):
  with pytest.raises(errors.UserError, match=words) as error:
    HID.lines(data)
  assert "\n" not in str(error.value)


def test_what_a_config_sets():
  config = ml_collections.ConfigDict({"lists": "", "rerank": False})
  assert HID.settings(config) == {"rerank": False}
  assert HID.roles(config, dict) == {} == GREW.settings(config)
