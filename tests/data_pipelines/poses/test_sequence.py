"""Names and numbers of frames."""

import pytest

from data_pipelines.poses import sequence
from gaitkd_jax import errors


@pytest.mark.parametrize(
  ("name", "number"),
  [
    ("0021_keypoints.json", 21),
    ("00001-000-00-0021.json", 21),
    ("video_000000000012_keypoints.json", 12),
    ("human_crop_f11627.txt", 11627),
    ("001-nm-01-090-012.png", 12),
    ("000021.jpg", 21),
    ("frame.mp4", None),
    ("٣.png", None),
  ],
)
def test_the_last_digits_number_a_frame(name, number):
  assert sequence.frame_number(name) == number


def test_numbers_are_those_of_all_frames_or_none():
  assert sequence.frame_numbers(["f9.txt", "f10.txt", "f12.txt"]) == (9, 10, 12)
  assert sequence.frame_numbers(["a9_1.txt", "a10_1.txt"]) == ()
  assert sequence.frame_numbers(["a1.txt", "b1.txt"]) == ()
  assert sequence.frame_numbers(["a1.txt", "b.txt"]) == ()
  assert sequence.frame_numbers([]) == ()


def test_files_are_in_natural_order(tmp_path):
  for name in ("f10.TXT", "f2.txt", "f1.txt", ".f3.txt", "f4.png", "x.txt"):
    (tmp_path / name).touch()
  (tmp_path / "f5.txt").mkdir()
  found = [path.name for path in sequence.files(tmp_path, ".txt")]
  assert found == ["f1.txt", "f2.txt", "f10.TXT", "x.txt"]
  assert sequence.files(tmp_path / "no", ".txt") == []


def test_sequences_are_the_folders_at_the_third_level(tmp_path):
  for name in ("002/nm-01/090", "001/nm-01/090", "001/.x/090", "001/nm-02"):
    (tmp_path / name).mkdir(parents=True)
  (tmp_path / "001/nm-02/090").symlink_to(tmp_path / "001/nm-01/090")
  found = sequence.by_folders(tmp_path)
  assert [str(each.folder) for each in found] == [
    "001/nm-01/090",
    "001/nm-02/090",
    "002/nm-01/090",
  ]


def test_what_is_no_text_is_refused(tmp_path):
  path = tmp_path / "x.txt"
  path.write_bytes(b"\xff\xfe")
  with pytest.raises(errors.UserError, match="x.txt: is not a text file"):
    sequence.read_text(path)
  with pytest.raises(errors.UserError, match="cannot be read"):
    sequence.read_text(tmp_path / "no.txt")
  with open(path, "wb") as file:
    file.truncate(2**28 + 1)
  with pytest.raises(errors.UserError, match="too many"):
    sequence.read_text(path)
