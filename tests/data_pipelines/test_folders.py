"""Any folder of sequences, as the search reads it."""

import pathlib
import pickle

import cv2
import numpy as np
import pytest

from data_pipelines import folders
from gaitkd_jax import errors
from tests.helpers import mistakes
from tests.helpers import trees


def jpg(path, image):
  path.parent.mkdir(parents=True, exist_ok=True)
  assert cv2.imwrite(str(path), image)


def test_frames_are_found_and_read(tmp_path):
  drawn = trees.images("075", "nm-01", "090", 4)
  for i, image in enumerate(drawn):
    jpg(tmp_path / "walk" / f"{i}.jpg", image)
    jpg(tmp_path / "walk" / "below" / "x" / f"{i}.PNG", image)
  jpg(tmp_path / "walk" / "below" / "x" / "gei.png", drawn[0])
  jpg(tmp_path / "walk" / "small" / "0.png", np.zeros((64, 64), np.uint8))
  (tmp_path / "walk" / "small" / "round").symlink_to(tmp_path / "walk")
  found = folders.find_sequences(tmp_path / "walk", "--probe")
  assert found == {
    "walk": tmp_path / "walk",
    "below/x": tmp_path / "walk" / "below" / "x",
    "small": tmp_path / "walk" / "small",
  }
  split = folders.read_sequences(found, "walkers", "--probe")
  assert sorted(split.names) == ["below/x", "walk"]  # a black one is left out
  expected = trees.normalised("casiab", "075", "nm-01", "090", 4)
  for name in ("below/x", "walk"):
    i = list(split.names).index(name)
    frames = split.decode(split.read(i))["silhouettes"].numpy()
    if name == "walk":  # JPEG's are as good as
      apart = np.abs(frames.astype(int) - expected)
      assert apart.mean() < 1
    else:
      np.testing.assert_array_equal(frames, expected)


def read(root):
  found = folders.find_sequences(root, "--probe")
  split = folders.read_sequences(found, "casiab", "--probe")
  return {
    name: split.decode(split.read(i))["silhouettes"].numpy()
    for i, name in enumerate(split.names)
  }


def test_a_folder_in_a_store_is_told_to_be_copied():
  for root in ("gs://bucket/walks", pathlib.Path("s3://bucket/walks")):
    line = mistakes.message(folders.find_sequences, root, "--probe")
    assert "lies in an object store" in line and "copy" in line


def test_normalised_frames_are_taken_as_they_are(tmp_path):
  expected = trees.normalised("casiab", "075", "nm-01", "090", 2)
  jpg(tmp_path / "a" / "0.png", expected[0])
  jpg(tmp_path / "a" / "1.png", expected[1][:, 10:54])
  frames = read(tmp_path)["a"]
  np.testing.assert_array_equal(frames[:, :, 10:54], expected[:, :, 10:54])


def test_twelve_frames_in_the_order_of_their_numbers(tmp_path):
  drawn = trees.images("075", "nm-01", "090", 12)
  expected = trees.normalised("casiab", "075", "nm-01", "090", 12)
  for i, image in enumerate(drawn):
    jpg(tmp_path / "a" / f"{i + 1}.png", image)
    jpg(tmp_path / "b" / f"{i + 995:03d}.png", image)
  found = read(tmp_path)
  np.testing.assert_array_equal(found["a"], expected)
  np.testing.assert_array_equal(found["b"], expected)


def test_odd_frames_are_mended_and_told(tmp_path, capsys):
  drawn = trees.images("075", "nm-01", "090", 3)
  expected = trees.normalised("casiab", "075", "nm-01", "090", 3)
  for i, image in enumerate(drawn):
    jpg(tmp_path / "mask" / f"{i}.png", image // 255)
    jpg(tmp_path / "black" / f"{i}.png", 255 - image)
    jpg(tmp_path / "photo" / f"{i}.png", image // 4 + 100)
  (tmp_path / "pickle").mkdir()
  (tmp_path / "pickle" / "pickle.pkl").write_bytes(pickle.dumps(expected))
  found = read(tmp_path)
  assert sorted(found) == ["black", "mask", "pickle"]
  for frames in found.values():
    np.testing.assert_array_equal(frames, expected)
  text = "".join(capsys.readouterr())
  assert "mask: values from 0 to 1, scaled to 255" in text
  assert "black: a black person on white, inverted" in text
  assert "left out: photo, " in text


def test_black_sequences_are_no_probes(tmp_path):
  jpg(tmp_path / "0.png", np.zeros((90, 90), np.uint8))
  found = folders.find_sequences(tmp_path, "--probe")
  with pytest.raises(errors.UserError, match="no frame of the 1 sequences"):
    folders.read_sequences(found, "casiab", "--probe")


def test_all_damaged_frames_are_one_line(tmp_path):
  image = trees.images("075", "nm-01", "090", 1)[0]
  for name in ("a/0.jpg", "b/0.png", "b/1.png"):
    jpg(tmp_path / name, image)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[:-20])
  with pytest.raises(errors.UserError) as caught:
    read(tmp_path)
  for name in ("a/0.jpg", "b/0.png", "b/1.png"):
    assert f"{tmp_path / name}: is " in str(caught.value)
  assert "\n" not in str(caught.value)
