"""Boxes of the user's own tracker, and what is wrong with them."""

import numpy as np
import pytest

from gaitkd_jax.errors import UserError
from gaitkd_jax.identify import boxes as boxes_lib


def read(tmp_path, text):
  path = tmp_path / "boxes.csv"
  path.write_text(text)
  return boxes_lib.Boxes(path)


def refused(tmp_path, text, *video):
  with pytest.raises(UserError) as caught:
    read(tmp_path, text).check(*(video or (640, 480, 100)))
  assert "\n" not in str(caught.value)
  return str(caught.value)


@pytest.mark.parametrize("header", ["", "frame,id,x,y,w,h\n"])
def test_boxes_are_read(tmp_path, header):
  boxes = read(tmp_path, f"{header}0,7,10,20.5,30,40\n\n0,2,1,2,3,4,0.9,-1\n")
  boxes.check(640, 480, 100)
  found = boxes.detections(0, 2)
  assert [one.id for one in found] == [2, 7]
  np.testing.assert_allclose(found[1].box, [5, 10.25, 15, 20])
  assert boxes.detections(1, 2) == []


def test_boxes_are_cut_to_the_picture(tmp_path):
  boxes = read(tmp_path, "0,1,-10,-5,30,40\n0,2,630,470,50,50\n")
  boxes.check(640, 480, 1)
  np.testing.assert_allclose(boxes.by_frame[0][1], [0, 0, 20, 35])
  np.testing.assert_allclose(boxes.by_frame[0][2], [630, 470, 10, 10])


@pytest.mark.parametrize(
  "line, said",
  [
    ("0,1,2,3,4", "line 2: 5 numbers"),
    ("0,1,a,3,4,5", "are no numbers"),
    ("0,1,nan,3,4,5", "not finite"),
    ("0,1,2,3,0,5", "0 x 5 pixels"),
    ("0.5,1,2,3,4,5", "whole numbers"),
    ("-1,1,2,3,4,5", "frames from 0"),
    ("3,1,2,3,4,5", "id 1 is in frame 3 twice"),
    ("3,2,700,3,4,5", "outside the picture of 640 x 480"),
    ("100,1,2,3,4,5", "names frame 100, but the video has 100"),
  ],
)
def test_bad_lines_are_named(tmp_path, line, said):
  assert said in refused(tmp_path, f"3,1,10,10,20,50\n{line}\n")


def test_other_files_are_refused(tmp_path):
  assert "holds no box" in refused(tmp_path, "frame,id,x,y,w,h\n")
  (tmp_path / "boxes.csv").write_bytes(b"\xff\xfe\x00\x80" * 9)
  with pytest.raises(UserError, match="no CSV file"):
    boxes_lib.Boxes(tmp_path / "boxes.csv")
  with pytest.raises(UserError, match="No such file"):
    boxes_lib.Boxes(tmp_path / "none.csv")


def test_many_bad_lines_are_counted(tmp_path):
  assert "and 15 more lines" in refused(tmp_path, "0,1,2\n" * 20)


def test_gaps_are_told(tmp_path):
  rows = [*range(10), *range(90, 99)]
  text = "".join(f"{i},3,10,10,20,50\n{i},4,50,10,20,50\n" for i in rows[:10])
  boxes = read(tmp_path, text + "".join(f"{i},3,9,9,9,9\n" for i in rows[10:]))
  (warning,) = boxes.warnings
  assert "id 3 is not there for 80 frames after frame 9" in warning
