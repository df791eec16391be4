"""What `data_pipelines.inspect` prints and draws."""

import cv2
import numpy as np
import pytest

from data_pipelines import inspect
from data_pipelines import store as store_lib
from gaitkd_jax import errors
from tests.helpers import command

ROWS = ("before", "flip", "rotate", "perspective", "erase", "affine", "all")


def make_store(lengths, *, conditions=None, heatmaps=False):
  """Sequences of a white column that is left of the middle, one a subject."""
  walk = np.zeros((max(lengths), 64, 64), np.uint8)
  walk[:, 8:, 20:28] = 200
  maps = np.zeros((max(lengths), 2, 64, 64), np.uint8)
  maps[:, 0, 30:34, 22] = 255
  maps[:, 1, 40:44, 24] = 250
  names = [f"{i:03}" for i in range(len(lengths))]
  return store_lib.SequenceStore.from_arrays(
    [walk[:n] for n in lengths],
    names,
    conditions or ["nm"] * len(names),
    ["090"] * len(names),
    [maps[:n] for n in lengths] if heatmaps else None,
  )


def frames_of(sheet, row, column):
  """The frames of one place of the sheet in their own size, [s, h, w, 3]."""
  height, width = 64 * 2, 44 * 2 + 1
  top = 22 + 6 + row * (height + 6)
  left = 110 + 6 + column * (inspect.FRAMES * width + 6)
  strip = sheet[top : top + height, left : left + inspect.FRAMES * width]
  frames = strip.reshape(height, inspect.FRAMES, width, 3).swapaxes(0, 1)
  return frames[:, ::2, :-1:2]


def test_counts_and_lengths():
  lengths = [1, 15, 15, 20, 40, 40, 40, 41]
  conditions = [f"c{i % 7}" for i in range(8)]
  text = inspect.describe(make_store(lengths, conditions=conditions))
  lines = text.splitlines()
  assert "subjects    8" in lines
  assert "sequences   8" in lines
  assert "frames      212" in lines
  assert "modalities  silhouettes" in lines
  assert "least 1, quartiles 15, 20, 40, most 41" in text
  start = next(i for i, line in enumerate(lines) if "quartiles" in line) + 1
  bins = [line.split() for line in lines[start : lines.index("", start)]]
  assert len(bins) <= 10
  for low, _, high, count, *bar in bins:
    inside = [n for n in lengths if int(low) <= n <= int(high)]
    assert int(count) == len(inside)
    assert bool(bar) == bool(inside)
  assert sum(int(b[3]) for b in bins) == 8
  assert lines[lines.index("conditions (7):") + 1] == "  c0  2"
  assert lines[lines.index("views (1):") + 1] == "  090  8"


def test_thousands_of_conditions_are_summed_up():
  conditions = [f"camid{i}" for i in range(40)] + ["camid7"] * 2
  text = inspect.describe(make_store([3] * 42, conditions=conditions))
  assert "conditions (40):\n  camid7  3\n  camid0  1\n" in text
  assert "\n  25 others  25\n" in text


@pytest.mark.slow
def test_rows_of_the_sheet():
  store = make_store([5, 30, 31])
  sheet = inspect.contact_sheet(store, seed=3)
  assert sheet.dtype == np.uint8
  differ = np.zeros(4, bool)
  for column in range(3):
    before, flip, *others, _ = (
      frames_of(sheet, row, column) for row in range(len(ROWS))
    )
    assert (before[:, 8:, 10:18] == 200).all() and not before[:, :8].any()
    assert not before[:, :, 18:].any()
    np.testing.assert_array_equal(flip, before[:, :, ::-1])
    # A box may fall beside the body.
    differ |= [(other != before).any() for other in others]
  assert differ.all()
  np.testing.assert_array_equal(sheet, inspect.contact_sheet(store, seed=3))
  assert (sheet != inspect.contact_sheet(store, seed=4)).any()


def test_heat_maps_are_in_colour_and_move_along():
  sheet = inspect.contact_sheet(make_store([9, 9], heatmaps=True))
  before, flip = (frames_of(sheet, row, 1) for row in (0, 1))
  np.testing.assert_array_equal(before[0, 20, 15], [100, 100, 100])
  np.testing.assert_array_equal(before[0, 31, 12], [100, 100, 255])
  np.testing.assert_array_equal(before[0, 41, 14], [100, 250, 100])
  np.testing.assert_array_equal(flip, before[:, :, ::-1])


def test_main_describes_walkers(prepared, tmp_path, capsys):
  sheet = tmp_path / "sheet.png"
  inspect.main(
    [
      "--dataset=walkers",
      "--split=test",
      f"--prepared={prepared}",
      f"--output={sheet}",
    ]
  )
  text = capsys.readouterr().out
  assert "walkers, split test" in text and "views (4):" in text
  image = cv2.imread(str(sheet))
  before, flip = (frames_of(image, row, 2) for row in (0, 1))
  assert before.max() == 255
  np.testing.assert_array_equal(flip, before[:, :, ::-1])
  # Silhouettes stand upright, from edge to edge, in the middle.
  rows, columns = (before.mean((0, 3)).sum(axis) for axis in (1, 0))
  assert rows[0:3].any() and rows[-3:].any()
  middle = (columns @ np.arange(44)) / columns.sum()
  assert abs(middle - 21.5) < 3


@pytest.mark.parametrize(
  "arguments, words",
  [
    ([], "--dataset"),
    (["--dataset=walker"], "no data set 'walker'"),
    (["--dataset=walkers", "--split=val"], "--split"),
    (["--dataset=walkers", "--seed=-1"], "--seed is -1"),
    (["--dataset=walkers", "--seed=one"], "--seed"),
    (["--dataset=walkers", "--variant=huge"], "huge"),
    (["--dataset=walkers", "--output=/no/such/sheet.png"], "/no/such/sheet"),
    (["--dataset=casiab", "--root=/no/such"], "/no/such"),
  ],
)
def test_mistakes(prepared, arguments, words):
  with pytest.raises(errors.UserError, match=words):
    inspect.main([*arguments, f"--prepared={prepared}"])


def test_a_mistake_is_one_line_and_status_2():
  program = ("-m", "data_pipelines.inspect")
  assert "walker" in command.mistake("--dataset=walker", program=program)
