"""What is a plausible sequence of silhouettes, and what is mended."""

import cv2
import numpy as np
import pytest

from data_pipelines import build_notes
from data_pipelines import datasets
from data_pipelines import frames
from data_pipelines import inspect
from data_pipelines import pickles
from data_pipelines import plausibility
from data_pipelines import pretreatment
from data_pipelines import store as store_lib
from tests.helpers import builds
from tests.helpers import mistakes
from tests.helpers import trees

KEY = ("075", "nm-01", "090")
DATASETS = ("casiab", "ccpg", "gait3d")


def drawn(count=5):
  """Raw silhouettes, uint8 [count, 96, 80], of 0 and 255."""
  return trees.images(*KEY, count)


def finished(count=5):
  return trees.normalised("casiab", *KEY, count)


def write(folder, values, suffix=".png"):
  folder.mkdir(parents=True)
  for i, frame in enumerate(values):
    assert cv2.imwrite(str(folder / f"{i + 1}{suffix}"), frame)
  return sorted(folder.iterdir(), key=lambda path: int(path.stem))


def read(folder, values, pretreat=pretreatment.pretreat_frame, suffix=".png"):
  return frames.read_images(write(folder, values, suffix), pretreat)


# --- range -------------------------------------------------------------------


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("high", [1, 2, 38, 128, 199])
def test_masks_of_another_range_are_scaled(tmp_path, dataset, high):
  masks = (drawn() > 0).astype(np.uint8) * high
  pretreat = datasets.source(dataset).pretreat
  found, notes = read(tmp_path / "a", masks, pretreat)
  assert notes == (f"values from 0 to {high}, scaled to 255",)
  expected = trees.normalised(dataset, *KEY, 5)
  np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("size", [(1280, 720), (320, 240)])
def test_large_and_small_masks_of_0_and_1(tmp_path, size):
  raw = np.zeros((3, size[1], size[0]), np.uint8)
  raw[:, 50:146, 100:180] = drawn(3)
  expected = pretreatment.pretreat(raw)
  found, _ = read(tmp_path / "a", raw // 255)
  np.testing.assert_array_equal(found, expected)


def test_what_is_bright_enough_is_left_alone(tmp_path):
  found, notes = read(tmp_path / "a", drawn())
  assert not notes
  np.testing.assert_array_equal(found, finished())
  dimmed = (finished() * 0.9).astype(np.uint8)
  np.testing.assert_array_equal(plausibility.mend(dimmed)[0], dimmed)


def test_a_dark_frame_of_a_bright_sequence_is_not_scaled(tmp_path):
  values = drawn()
  values[2] = values[2] > 0  # what a codec left of it
  found, notes = read(tmp_path / "a", values)
  assert not notes and not found[2].any() and found[3].any()


def test_labels_of_body_parts_are_refused(tmp_path):
  labels = np.zeros((3, 64, 64), np.uint8)
  labels[:, 8:56, 20:44] = np.arange(48)[:, None] // 4
  for values in (labels, np.pad(labels, ((0, 0), (9, 9), (9, 9)))):
    with pytest.raises(plausibility.ImplausibleError, match="from 0 to 11"):
      read(tmp_path / str(values.shape[1]), values)
  with pytest.raises(plausibility.ImplausibleError, match="from 0 to 11"):
    pickles.mend_silhouettes(labels, "090.pkl")


# --- polarity ----------------------------------------------------------------


@pytest.mark.parametrize("high", [1, 255])
def test_a_black_person_on_white_is_inverted(tmp_path, high):
  inverted = (drawn() == 0).astype(np.uint8) * high
  found, notes = read(tmp_path / "a", inverted)
  assert notes[-1] == "a black person on white, inverted"
  np.testing.assert_array_equal(found, finished())


@pytest.mark.parametrize("width", [64, 44])
def test_inverted_pickles(width):
  side = (64 - width) // 2
  values = finished()[:, :, side : 64 - side]
  found, notes = pickles.mend_silhouettes(255 - values, "090.pkl")
  assert notes == ("a black person on white, inverted",)
  np.testing.assert_array_equal(found[:, :, side : 64 - side], values)
  assert not found[:, :, :side].any()


def test_a_person_at_the_edge_is_not_inverted(tmp_path):
  raw = drawn()[:, :, 30:]  # cut through the middle of the body
  assert (raw[:, 20:70, 0] == 255).all(axis=1).any()
  _, notes = read(tmp_path / "a", raw)
  assert not notes


# --- background --------------------------------------------------------------


@pytest.mark.parametrize("kind", ["video", "counted", "noisy", "inverted"])
def test_a_background_that_is_not_black_is_cut(tmp_path, kind):
  raw = drawn()
  rng = np.random.default_rng(0)
  values = {
    "video": 16 + (raw > 0) * 219,
    "counted": 1 + (raw > 0),
    "noisy": rng.integers(0, 40, raw.shape) + (raw > 0) * 200,
    "inverted": 235 - (raw > 0) * 219 - rng.integers(0, 9, raw.shape),
  }[kind]
  found, notes = read(tmp_path / "a", values.astype(np.uint8))
  assert notes[-1] == "a background that is not black, cut at half the range"
  np.testing.assert_array_equal(found, finished())


def test_soft_edges_and_specks_are_not_cut(tmp_path):
  raw = cv2.GaussianBlur(drawn(1)[0], (0, 0), 2)[None]
  raw[0, ::9, 0] = 20
  found, notes = read(tmp_path / "a", raw)
  assert not notes
  np.testing.assert_array_equal(found, pretreatment.pretreat(raw))


def test_shadows_of_opencvs_background_models_are_no_part(tmp_path):
  raw = drawn()
  values = np.where((np.roll(raw, 9, axis=2) > 0) & (raw == 0), 127, raw)
  found, notes = read(tmp_path / "a", values.astype(np.uint8))
  assert notes == ("shadows of value 127, made black",)
  np.testing.assert_array_equal(found, finished())


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_raw_photographs_are_refused(tmp_path, suffix):
  rng = np.random.default_rng(0)
  raw = np.where(drawn() > 0, 60, rng.integers(90, 220, (5, 96, 80)))
  with pytest.raises(plausibility.ImplausibleError, match="photograph"):
    read(tmp_path / "a", raw.astype(np.uint8), suffix=suffix)


@pytest.mark.parametrize("person, border", [(255, 255), (0, 0)])
def test_borders_are_refused(tmp_path, person, border):
  for values in (drawn(), finished()):
    values = np.where(values > 127, person, 255 - person).astype(np.uint8)
    for edge in (0, -1):
      values[:, edge] = values[:, :, edge] = border
    with pytest.raises(plausibility.ImplausibleError, match="border"):
      read(tmp_path / f"{values.shape[1]}", values)


def test_people_that_fill_their_picture_are_left_alone(tmp_path):
  broad = np.full((3, 160, 80), 255, np.uint8)
  broad[:, :30, :25] = broad[:, :30, 55:] = 0  # beside the head
  broad[:, 120:, :8] = broad[:, 120:, -8:] = broad[:, 120:, 38:42] = 0
  _, notes = read(tmp_path / "a", broad)
  assert not notes


# --- what is left over -------------------------------------------------------


def test_a_finished_silhouette_passes():
  check = plausibility.check(finished(20))
  assert not check.refusal and not check.notes
  assert (check.frames, check.empty, check.jumps) == (20, 0, 0)
  values = finished(20)
  shares = np.sort((values >= 128).mean(axis=(1, 2)))
  assert check.share == shares[10]


def test_shares_black_frames_and_jumps_are_counted():
  values = finished(6)
  values[1] = 0
  values[3, :, 32:] = 0  # half of a person
  check = plausibility.check(values)
  assert (check.empty, check.jumps) == (1, 2)
  flat = values.reshape(6, -1)
  shares = np.delete((flat >= 128).mean(axis=1), 1)
  assert check.share == np.median(shares)
  grey = ((flat >= 64) & (flat < 192))[[0, 2, 4]].sum()
  assert check.grey == grey / (flat[[0, 2, 4]] > 0).sum()


def test_nearly_full_frames_photographs_and_noise_are_refused():
  full = np.full((4, 64, 64), 255, np.uint8)
  full[:, 20:30, 20:30] = 0
  assert "nearly full" in plausibility.check(full).refusal
  photo = np.linspace(60, 200, 64 * 64).reshape(1, 64, 64).astype(np.uint8)
  assert "photograph" in plausibility.check(photo).refusal
  specks = np.zeros((4, 64, 64), np.uint8)
  specks[:, 20:30, 20] = 255
  assert "noise" in plausibility.check(specks).refusal
  small = np.zeros((4, 64, 64), np.uint8)
  small[:, 20:40, 20:29] = 255
  (note,) = plausibility.check(small).notes
  assert "a small person" in note
  assert not plausibility.check(np.zeros((0, 64, 64), np.uint8)).refusal


def test_a_report_adds_sequences_up():
  broken = finished(6)
  broken[1] = 0
  tally = plausibility.Tally(
    [plausibility.check(finished()), plausibility.check(broken)]
  )
  text = "\n".join(tally.lines())
  assert "black frames: 1 in 1 of 2 sequences" in text
  assert "jumps of the area by a factor over 1.5: 0" in text
  assert not plausibility.Tally().lines()


# --- data sets ---------------------------------------------------------------


def tree_with(tmp_path, odd, suffix=".png"):
  """A tree of CASIA-B, and the folder of one odd sequence in it."""
  root = tmp_path / "tree"
  expected = trees.write(root, "casiab", "raw", 2, 4)
  folder = root.joinpath("001", "nm-01", "000")
  for path in folder.iterdir():
    path.unlink()
  folder.rmdir()
  write(folder, odd, suffix)
  return builds.data_of("casiab", root), folder, expected


def test_odd_sequences_are_mended_and_named(tmp_path, caplog, capsys):
  raw = trees.images("001", "nm-01", "000", 12)
  black = np.zeros_like(raw[:1])  # is dropped, and counted
  data, folder, expected = tree_with(tmp_path, np.append(raw // 255, black, 0))
  builder = datasets.prepare(data)
  found = builds.read(builder)["train"]["001-nm-01-000"]
  # 1, 2, ..., 12, not 1, 10, 11, 12, 2.
  want = trees.normalised("casiab", "001", "nm-01", "000", 12)
  np.testing.assert_array_equal(found, want)
  note = "values from 0 to 1, scaled to 255"
  assert f"1 sequences: {note} (the first: {folder})" in caplog.text
  assert not builds.skipped(builder)
  inspect.main(
    [
      "--dataset=casiab",
      f"--root={data.root}",
      f"--prepared={data.prepared}",
      f"--output={tmp_path / 'sheet.png'}",
    ]
  )
  text = capsys.readouterr().out
  assert f"mended: 1 sequences (1: {note}), listed in" in text
  assert f"silhouettes of {len(expected) // 2} sequences:" in text
  assert (
    f"black frames: 1 in 1 of {len(expected):,} sequences (dropped)" in text
  )
  assert "share of white pixels: least" in text


@pytest.mark.parametrize("kind", ["white", "photo", "labels"])
def test_what_shows_no_silhouettes_is_skipped(tmp_path, kind):
  values = np.full((3, 96, 80), 255, np.uint8)
  if kind == "photo":
    values[:] = np.linspace(60, 200, 80).astype(np.uint8)
  if kind == "labels":
    values[:] = np.linspace(0, 11, 96).astype(np.uint8)[:, None]
  data, folder, _ = tree_with(tmp_path, values)
  (line,) = builds.skipped(datasets.prepare(data)).splitlines()
  words = {
    "white": "a black person on white, inverted",
    "photo": "grey, as in a photograph",
    "labels": "values from 0 to 11",
  }
  assert line.startswith(f"{folder}\t") and words[kind] in line


def test_jpg_files_are_frames(tmp_path):
  raw = trees.images("001", "nm-01", "000", 12)
  data, _, _ = tree_with(tmp_path, raw, ".jpg")
  found = builds.read(datasets.prepare(data))["train"]["001-nm-01-000"]
  want = trees.normalised("casiab", "001", "nm-01", "000", 12)
  assert np.abs(found.astype(int) - want).mean() < 1


def test_what_lies_in_memory_is_described():
  values = [finished(4), finished(6)]
  store = store_lib.SequenceStore.from_arrays(
    values, ["a", "b"], ["c", "c"], ["v", "v"]
  )
  assert "silhouettes of 2 sequences:" in inspect.describe(store)


def test_jpg_files_beside_masks_are_left_out(tmp_path):
  raw = trees.images("001", "nm-01", "000", 4)
  data, folder, _ = tree_with(tmp_path, raw)
  for i in range(4):
    cv2.imwrite(str(folder / f"{i + 1}.jpg"), np.full((96, 80), 99, np.uint8))
  builder = datasets.prepare(data)
  want = trees.normalised("casiab", "001", "nm-01", "000", 4)
  found = builds.read(builder)["train"]["001-nm-01-000"]
  np.testing.assert_array_equal(found, want)
  *_, line = build_notes.summary(builder.data_dir)
  assert "4 JPG beside PNG files left out" in line


# --- damaged files -----------------------------------------------------------


def damaged_tree(tmp_path, count):
  root = tmp_path / "tree"
  trees.write(root, "casiab", "raw", 4, 3)
  paths = sorted(root.glob("*/*/*/00[12].png"))
  paths = paths[:: max(1, len(paths) // count)][:count]
  for path in paths:
    path.write_bytes(path.read_bytes()[:-20])
  assert len(paths) == count
  return builds.data_of("casiab", root), paths


@pytest.mark.parametrize("count", [1, 3, 19])
def test_all_damaged_files_are_named_at_once(tmp_path, count):
  data, paths = damaged_tree(tmp_path, count)
  assert {path.parts[-4] for path in paths} >= ({"001", "075"} & {count > 1})
  message = builds.refusal(data)
  for path in paths:
    assert f"{path}: is cut short" in message
  if count > 1:
    assert message.startswith(f"{count} files are damaged or refused")
  assert "data.skip_damaged=True" in message


def test_of_very_many_damaged_files_twenty_are_named(tmp_path):
  data, paths = damaged_tree(tmp_path, 25)
  message = builds.refusal(data)
  assert message.startswith("more than 20 files are damaged or refused")
  assert sum(str(path) in message for path in paths) == 20


def test_going_on_without_damaged_files(tmp_path):
  data, paths = damaged_tree(tmp_path, 3)
  data.skip_damaged = True
  other = next(
    path.parent
    for path in sorted((tmp_path / "tree").glob("*/*/*/003.png"))
    if path.parent not in {path.parent for path in paths}
  )
  (other / f"{other.name}.pkl").write_bytes(b"nothing")
  builder = datasets.prepare(data)
  part = {
    name: values
    for split in builds.read(builder).values()
    for name, values in split.items()
  }
  for path in paths:
    name = "-".join(path.parts[-4:-1])
    want = trees.normalised("casiab", *path.parts[-4:-1], 3)
    left = [i for i in range(3) if f"{i + 1:03d}.png" != path.name]
    np.testing.assert_array_equal(part[name], want[left])
  (line,) = builds.skipped(builder).splitlines()
  assert line.startswith(f"{other}\tdamaged: {other}")
  # Nor does it wait for an answer which of two pickles is meant.
  (other / f"{other.name}.pkl").rename(other / "a.pkl")
  (other / "b.pkl").write_bytes(b"nothing")
  (line,) = builds.skipped(datasets.prepare(data)).splitlines()
  assert line.startswith(f"{other}\t{other}: holds 2 pickles")
  data.skip_damaged = False
  assert "4 files are damaged" in mistakes.message(datasets.prepare, data)
