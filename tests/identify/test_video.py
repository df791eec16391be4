"""Videos are read frame by frame; what is none is said in one line."""

import struct

import cv2
import numpy as np
import pytest

from gaitkd_jax.errors import UserError
from gaitkd_jax.identify import video as video_lib

SIZE = (64, 48)  # width, height


def picture(number, size=SIZE):
  """Grey, but brighter from frame to frame; its left half is dark."""
  frame = np.full((size[1], size[0], 3), 60 + 3 * number, np.uint8)
  frame[:, : size[0] // 2] //= 3
  return frame


def write(path, frames=20, size=SIZE, fps=10.0, codec=None):
  codec = codec or ("MJPG" if path.suffix == ".avi" else "mp4v")
  writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, size)
  for i in range(frames):
    writer.write(picture(i, size))
  writer.release()
  return path


def refused(path, **options):
  with pytest.raises(UserError) as caught:
    list(video_lib.Video(path, **options))
  assert "\n" not in str(caught.value)
  assert str(path) in str(caught.value)
  return str(caught.value)


@pytest.mark.parametrize("name", ["a.mp4", "b.avi", "Spaß 走.mp4"])
def test_frames_have_numbers_and_times(tmp_path, name):
  video = video_lib.Video(write(tmp_path / name))
  assert (video.width, video.height, video.scale) == (64, 48, 1)
  frames = list(video)
  assert [frame.number for frame in frames] == list(range(20))
  np.testing.assert_allclose([f.time for f in frames], np.arange(20) / 10)
  for frame in frames[::6]:
    error = frame.picture.astype(int) - picture(frame.number)
    assert np.abs(error).mean() < 4
  assert not video.warnings
  # A second time, and a sample.
  assert len(list(video)) == 20
  assert [f.number for f in video.sample(0.5)] == [0, 5, 10, 15]


def test_a_given_rate_is_believed(tmp_path):
  frames = list(video_lib.Video(write(tmp_path / "a.mp4"), fps=50))
  np.testing.assert_allclose([f.time for f in frames], np.arange(20) / 50)
  with pytest.raises(UserError, match="up to 1000"):
    video_lib.Video(tmp_path / "a.mp4", fps=-1)


def _edit(path, name, edit):
  """Changes a box of an MP4 file in place."""
  data = bytearray(path.read_bytes())
  at = data.index(name)
  edit(data, at + 4)
  path.write_bytes(bytes(data))


def test_a_rotated_video_is_upright(tmp_path):
  path = write(tmp_path / "a.mp4")

  def turn(data, at):
    # The matrix of a track's header: 90 degrees clockwise.
    matrix = (0, 1 << 16, 0, -(1 << 16), 0, 0, SIZE[1] << 16, 0, 1 << 30)
    struct.pack_into(">9i", data, at + 40, *matrix)

  _edit(path, b"tkhd", turn)
  video = video_lib.Video(path)
  assert (video.width, video.height) == (48, 64)
  frame = next(iter(video)).picture
  # The dark left half is the upper half now.
  assert frame[:30].mean() < frame[34:].mean() - 20


def test_times_of_a_varying_rate_are_those_of_the_file(tmp_path):
  path = write(tmp_path / "a.mp4")

  def vary(data, at):
    # One entry (20 frames of one length) becomes (10, d), (10, 3 d).
    count, number, length = struct.unpack_from(">3I", data, at + 4)
    assert (count, number) == (1, 20)
    size = struct.pack(">I", struct.unpack_from(">I", data, at - 8)[0] + 8)
    data[at - 8 : at - 4] = size
    entries = struct.pack(">5I", 2, 10, length, 10, 3 * length)
    data[at + 4 : at + 16] = entries
    for name in (b"stbl", b"minf", b"mdia", b"trak", b"moov"):
      start = data.index(name) - 4
      old = struct.unpack_from(">I", data, start)[0]
      struct.pack_into(">I", data, start, old + 8)

  def forget_length(data, at):
    data[at - 4 : at] = b"free"  # else FFmpeg drops what comes after it

  _edit(path, b"stts", vary)
  _edit(path, b"edts", forget_length)
  times = np.array([frame.time for frame in video_lib.Video(path)])
  steps = np.diff(times)
  assert len(times) == 20
  np.testing.assert_allclose(steps[:8], steps[0], rtol=0.05)
  np.testing.assert_allclose(steps[11:], 3 * steps[0], rtol=0.05)


def test_large_pictures_are_scaled_down(tmp_path):
  video = video_lib.Video(write(tmp_path / "a.avi", 2, (7680, 4320)))
  assert (video.width, video.height, video.scale) == (7680, 4320, 6)
  assert next(iter(video)).picture.shape == (720, 1280, 3)


def test_a_folder_of_frames_is_a_video(tmp_path):
  for i in range(16):
    cv2.imwrite(str(tmp_path / f"{i}.png"), picture(i))
  frames = list(video_lib.Video(tmp_path, fps=5))
  # As people count: 2 comes before 10.
  means = [frame.picture.mean() for frame in frames]
  assert means == sorted(means) and len(means) == 16
  assert frames[5].time == 1.0
  cv2.imwrite(str(tmp_path / "7.png"), picture(7)[:20])
  with pytest.raises(UserError, match="7.png is 64 x 20 pixels"):
    list(video_lib.Video(tmp_path))
  (tmp_path / "7.png").write_bytes(b"\x89PNG")
  with pytest.raises(UserError, match="7.png is damaged"):
    list(video_lib.Video(tmp_path))


def test_bad_files_are_one_line(tmp_path, capfd):
  assert "missing" in refused(tmp_path / "none.mp4")
  (tmp_path / "folder").mkdir()
  assert "no PNG or JPEG" in refused(tmp_path / "folder")
  cv2.imwrite(str(tmp_path / "photo1.png"), picture(0))
  assert "is a picture" in refused(tmp_path / "photo1.png")
  (tmp_path / "empty.mp4").touch()
  assert "is empty" in refused(tmp_path / "empty.mp4")
  (tmp_path / "text.mp4").write_text("frame,id\n" * 100)
  assert "no video that can be read" in refused(tmp_path / "text.mp4")
  # OpenCV writes what lies where at the end of the file.
  whole = write(tmp_path / "whole.mp4", 30).read_bytes()
  (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
  assert "cut short" in refused(tmp_path / "half.mp4")
  assert "1 frame;" in refused(write(tmp_path / "one.mp4", 1))
  assert "14 frames;" in refused(write(tmp_path / "few.mp4", 14))
  refused(write(tmp_path / "zero.mp4", 0))
  assert capfd.readouterr().err == ""


def test_sound_alone_is_no_video(tmp_path):
  samples = np.zeros(8000, np.int16).tobytes()
  head = struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)
  data = b"WAVEfmt " + struct.pack("<I", 16) + head
  data += b"data" + struct.pack("<I", len(samples)) + samples
  path = tmp_path / "sound.wav"
  path.write_bytes(b"RIFF" + struct.pack("<I", len(data)) + data)
  assert "sound only" in refused(path)


def test_a_video_that_breaks_off_is_used_as_far_as_it_goes(tmp_path):
  whole = write(tmp_path / "whole.avi", 40).read_bytes()
  path = tmp_path / "part.avi"
  path.write_bytes(whole[: int(0.6 * len(whole))])
  video = video_lib.Video(path)
  assert 15 <= len(list(video)) < 30
  assert "breaks off" in video.warnings[0]
