"""Silhouettes are cut as those of data sets, and kept in folders."""

import cv2
import numpy as np
import pytest

from data_pipelines import pretreatment
from gaitkd_jax.errors import UserError
from gaitkd_jax.identify import silhouettes
from gaitkd_jax.identify.track import Track


def mask(shift=0, size=(200, 160)):
  """A body with two legs."""
  found = np.zeros(size, np.uint8)
  cv2.ellipse(found, (80, 70), (22, 50), 0, 0, 360, 255, -1)
  cv2.line(found, (80, 100), (60 + shift, 180), 255, 14)
  cv2.line(found, (80, 100), (100 - shift, 180), 255, 14)
  return found


def track(number=1, count=20, rejected=""):
  good = np.arange(count) % 4 != 0
  cut = np.stack([silhouettes.cut(mask(i)) for i in range(count)])
  return Track(
    id=number,
    frames=np.arange(count) * 2 + 5,
    times=np.arange(count) / 12.5,
    boxes=np.random.default_rng(0).random((count, 4)).astype(np.float32),
    silhouettes=cut,
    good=good,
    reasons=["" if flag else "touches the border" for flag in good],
    ended="lost",
    rejected=rejected,
  )


def test_cut_is_the_pre_treatment_of_data_sets():
  raw = mask(5)
  found = silhouettes.cut(raw)
  assert found.shape == (64, 44) and found.dtype == np.uint8
  expected = pretreatment.pretreat_frame(raw)[:, 10:54]
  np.testing.assert_array_equal(found, expected)
  # The place in the picture does not matter.
  shifted = np.pad(raw, ((13, 4), (31, 7)))
  assert np.abs(silhouettes.cut(shifted).astype(int) - found).mean() < 3
  assert silhouettes.cut(np.zeros((50, 50), np.uint8)) is None


def test_tracks_are_kept(tmp_path):
  tracks = [track(1), track(12, 17, "too short"), track(3, 15)]
  tracks[2].good[:] = False
  silhouettes.save(tracks, tmp_path / "Wände")
  found = silhouettes.load(tmp_path / "Wände")
  assert [one.id for one in found] == [1, 3, 12]
  for one, other in zip(found, [tracks[0], tracks[2], tracks[1]], strict=True):
    np.testing.assert_array_equal(one.frames, other.frames)
    np.testing.assert_array_equal(one.silhouettes, other.silhouettes)
    np.testing.assert_array_equal(one.good, other.good)
    np.testing.assert_allclose(one.boxes, other.boxes, atol=0.05)
    np.testing.assert_allclose(one.times, other.times, atol=1e-4)
    assert one.reasons == other.reasons
    assert (one.ended, one.rejected) == (other.ended, other.rejected)
  assert [len(one.used) for one in found] == [15, 0, 0]
  assert found[0].counted() == {"touches the border": 5}
  # One track alone, and again into the same folder.
  assert silhouettes.load(tmp_path / "Wände/track_0012")[0].id == 12
  silhouettes.save(tracks[:1], tmp_path / "Wände")
  assert len(silhouettes.load(tmp_path / "Wände")) == 1
  assert [path.name for path in tmp_path.iterdir()] == ["Wände"]


def test_good_frames_are_a_folder_of_silhouettes(tmp_path):
  silhouettes.save([track()], tmp_path / "tracks")
  for path in tmp_path.rglob("*.json"):
    path.unlink()
  (one,) = silhouettes.load(tmp_path / "tracks")
  np.testing.assert_array_equal(one.silhouettes, track().used)
  assert one.frames_used == 15 and one.good.all()


def test_raw_masks_of_several_people_are_read(tmp_path):
  for person in ("zoë", "2", "10"):
    (tmp_path / person).mkdir()
    for i in range(15):
      path = tmp_path / person / f"{i}.png"
      path.write_bytes(cv2.imencode(".png", mask(i))[1].tobytes())
  found = silhouettes.load(tmp_path)
  assert len(found) == 3
  assert [one.ended.rpartition("/")[2] for one in found] == ["2", "10", "zoë"]
  np.testing.assert_array_equal(
    found[0].silhouettes[3], silhouettes.cut(mask(3))
  )


def test_nothing_is_half_written(tmp_path, monkeypatch):
  silhouettes.save([track(1)], tmp_path / "tracks")
  with monkeypatch.context() as patch:
    patch.setattr(np, "savez_compressed", _full)
    with pytest.raises(UserError, match="No space left"):
      silhouettes.save([track(1), track(2)], tmp_path / "tracks")
  assert [path.name for path in tmp_path.iterdir()] == ["tracks"]
  assert len(silhouettes.load(tmp_path / "tracks")) == 1


def _full(*_, **__):
  raise OSError(28, "No space left on device")


def test_other_files_are_not_replaced(tmp_path):
  (tmp_path / "thesis.txt").write_text("years of work")
  with pytest.raises(UserError, match="holds other files"):
    silhouettes.save([track()], tmp_path)
  assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_bad_folders_are_one_line(tmp_path):
  with pytest.raises(UserError, match="is no folder"):
    silhouettes.load(tmp_path / "none")
  with pytest.raises(UserError, match="no PNG or JPEG file"):
    silhouettes.load(tmp_path)
  silhouettes.save([track()], tmp_path / "tracks")
  path = tmp_path / "tracks/track_0001/track.json"
  whole = path.read_text()
  for text in (whole[:300], "[]", "{}", whole.replace('"frame"', '"other"')):
    path.write_text(text)
    with pytest.raises(UserError, match="is damaged") as caught:
      silhouettes.load(tmp_path / "tracks")
    assert "\n" not in str(caught.value)
  path.write_text(whole)
  (path.parent / "000007.png").unlink()
  with pytest.raises(UserError, match="000007.png"):
    silhouettes.load(tmp_path / "tracks")
