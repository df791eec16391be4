"""Galleries: folders of people, and stores of them that change."""

import errno
import unicodedata

import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.evaluation import store as store_lib
from gaitkd_jax.identify import clips
from gaitkd_jax.identify import embedding
from gaitkd_jax.identify import enrolment
from gaitkd_jax.identify import gallery
from gaitkd_jax.identify import pipeline
from gaitkd_jax.identify import silhouettes
from tests.helpers import gait_videos
from tests.helpers import onnx_files


@pytest.fixture(scope="module")
def model(tmp_path_factory):
  folder = tmp_path_factory.mktemp("model")
  return onnx_files.write(folder / "strips.onnx", threshold=None)


@pytest.fixture(scope="module")
def people(tmp_path_factory):
  """Ada with two clips, Jörg with one; composed of other letters on a Mac."""
  folder = tmp_path_factory.mktemp("people")
  for name in ("nm-01", "nm-02"):
    walk = gait_videos.clip("080", name)
    gait_videos.write_folder(folder / "Ada" / name, walk)
  other = unicodedata.normalize("NFD", "Jörg")
  gait_videos.write_folder(folder / other, gait_videos.clip("095"))
  return folder


def enrol(store, model="", **changes):
  return enrolment.enrol(
    enrolment.Change(store=str(store), model=str(model), **changes)
  )


def refused(said, store, *args, **changes):
  with pytest.raises(errors.UserError, match=said) as caught:
    enrol(store, *args, **changes)
  assert "\n" not in str(caught.value)


def test_a_folder_is_a_gallery(people, model):
  network = embedding.open_network(model)
  found = gallery.open_gallery(people, network, progress=False)
  assert found.names == ("Ada", "Jörg") and len(found.people) == 3
  assert found.clips == ("Ada/nm-01", "Ada/nm-02", "Jörg/Jörg")
  wanted = onnx_files.expected(gait_videos.clip("080"))
  np.testing.assert_allclose(found.embeddings[0], wanted, rtol=1e-6)
  assert found.pictures[0].shape == (64, 44) and not found.notes


def test_videos_are_clips(tmp_path, model):
  walk = gait_videos.clip("080")
  gait_videos.write_video(tmp_path / "people" / "Ada" / "a.avi", walk)
  gait_videos.write_video(tmp_path / "people" / "Ben.avi", walk, walk)
  (tmp_path / "people" / "note.txt").write_text("")
  listed, notes = clips.people_in(tmp_path / "people", "--gallery")
  assert set(listed) == {"Ada", "Ben"} and "note.txt" in notes[0]
  found, _ = clips.read(listed, progress=False)
  assert [(c.person, c.name) for c in found] == [
    ("Ada", "a.avi"),
    ("Ben", "Ben.avi#1"),
    ("Ben", "Ben.avi#2"),
  ]
  alone, _ = clips.people_in(tmp_path / "people" / "Ben.avi", "--gallery")
  assert list(alone) == ["Ben"]


def test_what_was_extracted_is_a_clip(tmp_path):
  path = gait_videos.write_video(tmp_path / "a.avi", gait_videos.clip())
  tracks = pipeline.silhouettes_of(path, progress=False)
  silhouettes.save(tracks, tmp_path / "people" / "Ada")
  found, _ = clips.read(clips.people_in(tmp_path / "people", "-")[0])
  np.testing.assert_array_equal(found[0].silhouettes, tracks[0].used)


def test_people_are_added_replaced_and_removed(people, model, tmp_path, capsys):
  store = tmp_path / "store"
  enrol(store, model, people=str(people))
  assert "added: Ada, Jörg" in capsys.readouterr().out
  found = store_lib.EmbeddingStore.open(store)
  assert sorted(set(found.subjects)) == ["Ada", "Jörg"]
  digest = embedding.open_network(model).digests[0]
  assert found.metadata["digest"] == digest
  gait_videos.write_folder(tmp_path / "new" / "Ada", gait_videos.clip("081"))
  refused("Ada is in .* already", store, model, people=str(tmp_path / "new"))
  enrol(store, model, people=str(tmp_path / "new"), replace=True)
  assert "replaced: Ada" in capsys.readouterr().out
  now = gallery.read_store(store)
  assert now.people == ("Jörg", "Ada")
  wanted = onnx_files.expected(gait_videos.clip("081"))
  np.testing.assert_allclose(now.embeddings[1], wanted, rtol=1e-6)
  refused("Eve is not in .*, where there are Ada", store, remove=["Eve"])
  enrol(store, remove=["Jörg"])
  assert gallery.read_store(store).people == ("Ada",)
  refused("nobody would be left", store, remove=["Ada"])
  assert gallery.read_store(store).people == ("Ada",)


def test_a_calibration_gives_the_threshold(people, model, tmp_path):
  store, others = tmp_path / "store", tmp_path / "others"
  for i in range(85, 92):
    for name in ("nm-01", "nm-02"):
      walk = gait_videos.clip(f"{i:03d}", name)
      gait_videos.write_folder(others / f"{i:03d}" / name, walk)
  enrol(store, model, people=str(people), calibrate=str(others))
  network = embedding.open_network(model)
  found = gallery.open_gallery(store, network)
  assert found.calibration["pairs"] == 84
  few = "takes 100 pairs of different people, and there are 84"
  with pytest.raises(errors.UserError, match=few):
    gallery.threshold_of(found, network, None, 0.01)
  assert gallery.threshold_of(found, network, None, None) is None
  limit = gallery.threshold_of(found, network, None, 0.1)
  assert limit.pairs == 84 and "14 sequences of 7 people" in limit.origin
  assert gallery.threshold_of(found, network, 3.5, None).distance == 3.5
  enrol(store, remove=["Ada"])
  assert gallery.read_store(store).calibration == found.calibration


def test_without_a_calibration(people, model, tmp_path):
  network = embedding.open_network(model)
  found = gallery.open_gallery(people, network, progress=False)
  assert gallery.threshold_of(found, network, None, None) is None
  own = gallery.threshold_of(found, network, None, 0.6)
  assert own.pairs == 2 and "the gallery itself" in own.origin
  with pytest.raises(errors.UserError, match="takes 100 pairs"):
    gallery.threshold_of(found, network, None, 0.01)
  known = {
    "distance": 0.3,
    "false_accept_rate": 0.01,
    "strangers": 1000,
    "accepted": 10,
    "same": 5,
    "named": 4,
    "data": "walkers",
    "sequences": 48,
  }
  path = onnx_files.write(tmp_path / "knows.onnx", threshold=known)
  limit = gallery.threshold_of(found, embedding.open_network(path), None, 0.01)
  assert limit.distance == 0.3 and "10 of 1000 pairs" in limit.origin


def test_another_network_is_refused(people, model, tmp_path):
  store = tmp_path / "store"
  enrol(store, model, people=str(people))
  # The same checkpoint, written again: it may search.
  again = onnx_files.write(tmp_path / "again.onnx", library="gaitkd_jax 1")
  assert gallery.open_gallery(store, embedding.open_network(again)).people
  checkpoint = {"digest": "1" * 64, "step": 7}
  path = onnx_files.write(tmp_path / "other.onnx", checkpoint=checkpoint)
  with pytest.raises(errors.UserError, match="made by another network"):
    gallery.open_gallery(store, embedding.open_network(path))
  refused("another network", store, path, people=str(people), replace=True)
  np.savez(
    tmp_path / "nameless.npz",
    embeddings=np.ones((1, 16, 2), np.float32),
    **{key: np.array(["a"]) for key in ("subjects", "conditions", "views")},
  )
  with pytest.raises(errors.UserError, match="does not say which network"):
    gallery.open_gallery(
      tmp_path / "nameless.npz", embedding.open_network(path)
    )


def test_bad_folders_of_people(model, tmp_path):
  network = embedding.open_network(model)

  def mistake(folder):
    with pytest.raises(errors.UserError) as caught:
      gallery.open_gallery(folder, network, progress=False)
    return str(caught.value)

  assert "is missing" in mistake(tmp_path / "none")
  (tmp_path / "empty").mkdir()
  assert "is empty" in mistake(tmp_path / "empty")
  short = gait_videos.write_folder(
    tmp_path / "short" / "Ada", gait_videos.clip(frames=9)
  )
  assert "9 silhouettes; give 15 or more" in mistake(tmp_path / "short")
  assert "silhouettes of one sequence (000.png)" in mistake(short)
  (tmp_path / "nobody" / "Ben").mkdir(parents=True)
  (tmp_path / "nobody" / "Eve.mp4").write_bytes(b"no video")
  said = mistake(tmp_path / "nobody")
  assert "no usable clip of Ben (it holds no video" in said
  assert "no usable clip of Eve" in said and said.startswith("2 mistakes")


def test_nothing_is_half_changed(people, model, tmp_path, monkeypatch):
  store = tmp_path / "store"
  enrol(store, model, people=str(people))
  before = {p.name: p.read_bytes() for p in store.iterdir()}
  real = np.savez

  for broken in (OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()):

    def break_off(*args, broken=broken, **kwargs):
      real(*args, **kwargs)
      raise broken

    monkeypatch.setattr(np, "savez", break_off)
    with pytest.raises((errors.UserError, KeyboardInterrupt)):
      enrol(store, remove=["Ada"])
    assert {p.name: p.read_bytes() for p in store.iterdir()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["store"]


def test_what_is_missing_is_said(people, model, tmp_path):
  store = tmp_path / "store"
  refused("nothing is to be done", store)
  refused("--model is missing", store, people=str(people))
  refused("is no store; make one", store, remove=["Ada"])
  store.mkdir()
  (store / "mine.txt").write_text("")
  refused("holds something else", store, model, people=str(people))
