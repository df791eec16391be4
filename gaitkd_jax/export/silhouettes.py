"""Silhouettes on which an export is checked and calibrated.

By default they are walkers, rendered with numpy alone: an export needs neither
data nor TensorFlow.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import os
from typing import Any

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax.evaluation import embed as embed_lib
from gaitkd_jax.hosts import together

WALKERS = "walkers"
# Of people who train nothing, in any size of the set: sequences for the
# threshold are those of so many, in these conditions.
_STRANGERS = tuple(f"{i:03d}" for i in range(75, 87))
_CONDITIONS = ("nm-01", "nm-05", "bg-01", "cl-01")
_VIEWS = ("090", "072", "108", "090")
# Of the longest sequence on which a file is checked.
_LONGEST = 65
_CLIP = 30
# For calibration.
BATCHES, BATCH_SIZE = 4, 8
# Columns of a prepared frame, 64 wide, that networks never see, on each side.
_CUT = 10


@dataclasses.dataclass(frozen=True, eq=False)
class Sequences:
  """Sequences of people.

  Attributes:
    data: name of their data set.
    clips: uint8 `[s, 64, 44]`, or `[s, 64, 44, c]` of a network that takes heat
      maps; 0 to 255.
    subjects: who walks in each.
  """

  data: str
  clips: tuple[np.ndarray, ...]
  subjects: tuple[str, ...]

  def three_lengths(self) -> list[np.ndarray]:
    """Three of the sequences: a quarter, a half and all of the longest's."""
    long = sorted(range(len(self.clips)), key=lambda i: -len(self.clips[i]))
    chosen = [self.clips[i] for i in (long * 3)[:3]]
    longest = min(len(chosen[0]), _LONGEST)
    lengths = (max(1, longest // 4), max(1, longest // 2), longest)
    # The longest of all takes the most frames.
    return [
      clip[:length] for clip, length in zip(chosen[::-1], lengths, strict=True)
    ]

  def one_clip(self) -> np.ndarray:
    """A clip of 30 frames; of fewer if no sequence has them."""
    return max(self.clips, key=len)[:_CLIP]


def walkers(in_channels: int, many: bool) -> Sequences:
  """Renders walkers whom nothing was trained on.

  Args:
    in_channels: of the network.
    many: whether 48 sequences of twelve people are wanted, of 40 frames; else
      three, of 65.
  """
  if many:
    chosen = [
      (who, condition, view)
      for who in _STRANGERS
      for condition, view in zip(_CONDITIONS, _VIEWS, strict=True)
    ]
  else:
    chosen = list(zip(_STRANGERS, _CONDITIONS[1:], _VIEWS, strict=False))
  frames = 40 if many else _LONGEST
  clips = tuple(_render(*walk, frames, in_channels) for walk in chosen)
  return Sequences(WALKERS, clips, tuple(walk[0] for walk in chosen))


def walkers_batches(in_channels: int) -> Iterator[dict[str, np.ndarray]]:
  """Renders walkers of the training split, for `calibration.observe`."""
  from data_pipelines.walkers import spec

  views = spec.VIEWS
  for i in range(BATCHES):
    walks = [
      (
        f"{1 + i * BATCH_SIZE + j:03d}",
        spec.CONDITIONS[(i + j) % len(spec.CONDITIONS)],
        views[(3 * i + j) % len(views)],
      )
      for j in range(BATCH_SIZE)
    ]
    clips = [_render(*walk, _CLIP, in_channels) for walk in walks]
    yield _batch(np.stack(clips), in_channels)


def _render(
  subject: str, condition: str, view: str, frames: int, in_channels: int
) -> np.ndarray:
  """A sequence as a network of so many channels takes it."""
  from data_pipelines.walkers import sequence
  from data_pipelines.walkers import spec

  full = spec.SIZES["full"]
  size = dataclasses.replace(full, frames=frames)
  walk = (size, subject, condition, view)
  pixels = []
  if in_channels > 1:
    pixels.append(np.moveaxis(sequence.render_heatmaps(*walk), 1, -1))
  if in_channels != 2:
    pixels.append(sequence.render_sequence(*walk)[..., None])
  joined = np.concatenate(pixels, -1)[:, :, _CUT:-_CUT]
  return joined[..., 0] if in_channels == 1 else joined


def _batch(clips: np.ndarray, in_channels: int) -> dict[str, np.ndarray]:
  """Clips of `Sequences`, as the pipeline gives them."""
  if in_channels == 1:
    return {"silhouettes": clips}
  heatmaps = {"heatmaps": clips[..., :2]}
  # A network of heat maps alone reads no silhouette.
  last = clips[..., -1] if in_channels == 3 else np.zeros_like(clips[..., 0])
  return {"silhouettes": last, **heatmaps}


def tested(config: Any, in_channels: int, strangers: int = 12) -> Sequences:
  """Sequences of a config's test split: four of each of some subjects.

  Args:
    config: the whole config.
    in_channels: of the network.
    strangers: how many subjects, evenly chosen.

  Raises:
    errors.UserError: the data cannot be read, or have no heat maps.
  """
  # TensorFlow is loaded only where data are read.
  from data_pipelines import store

  data = embed_lib.test_data(config)
  split = store.SequenceStore.from_builder(
    together.prepare_data(data), "test", data.cache_gib
  )
  everybody = np.unique(split.subjects)
  places = np.linspace(0, len(everybody) - 1, min(strangers, len(everybody)))
  rows = np.concatenate(
    [
      _even(np.flatnonzero(split.subjects == who), len(_CONDITIONS))
      for who in everybody[places.round().astype(int)]
    ]
  )
  name = f"{data.name}:{data.variant}" if data.name == WALKERS else data.name
  clips, subjects = [], []
  for row, clip in _read(split, rows, config.eval.max_frames, in_channels):
    clips.append(clip)
    subjects.append(str(split.subjects[row]))
  return Sequences(name, tuple(clips), tuple(subjects))


def folder_batches(
  root: str | os.PathLike[str], data: str
) -> Iterator[dict[str, np.ndarray]]:
  """Batches of the sequences in a folder, for `calibration.observe`.

  Args:
    root: of folders of silhouettes, see `data_pipelines.folders`.
    data: name of the data set whose pre-treatment is wanted.

  Raises:
    errors.UserError: the folder is not there, or holds nothing that is usable.
  """
  from data_pipelines import folders
  from data_pipelines import pipeline

  flag = "--calibrate"
  split = folders.read_sequences(folders.find_sequences(root, flag), data, flag)
  rows = _even(np.arange(len(split)), BATCHES * BATCH_SIZE)
  batches = pipeline.eval_batches(
    split, batch_size=1, max_frames=2 * _CLIP, rows=np.unique(rows)
  )
  # One at a time: rows that fill a batch would be calibrated on as well.
  for batch in batches:
    length = int(batch["lengths"][0])
    yield {"silhouettes": batch["silhouettes"][:, :length]}


def _read(
  split: Any, rows: np.ndarray, max_frames: int, in_channels: int
) -> Iterator[tuple[int, np.ndarray]]:
  """Positions and sequences of a split, as a network takes them."""
  from data_pipelines import pipeline

  if in_channels > 1 and "heatmaps" not in split.modalities:
    raise errors.UserError(
      "the network takes heat maps, and the data have none; give "
      "--config.data.modalities=\"('silhouettes', 'heatmaps')\""
    )
  for batch in pipeline.eval_batches(
    split, batch_size=1, max_frames=max_frames, rows=np.unique(rows)
  ):
    yield int(batch["index"][0]), _stacked(batch, in_channels)


def _stacked(batch: Mapping[str, np.ndarray], in_channels: int) -> np.ndarray:
  """The one sequence of a batch, without its padding."""
  length = int(batch["lengths"][0])
  silhouettes = batch["silhouettes"][0, :length]
  if in_channels == 1:
    return np.array(silhouettes)
  heatmaps = batch["heatmaps"][0, :length]
  if in_channels == 2:
    return np.array(heatmaps)
  return np.concatenate([heatmaps, silhouettes[..., None]], -1)


def _even(rows: Sequence[int] | np.ndarray, count: int) -> np.ndarray:
  """So many of some rows, evenly chosen; all if they are fewer."""
  places = np.linspace(0, len(rows) - 1, min(count, len(rows)))
  return np.asarray(rows)[places.round().astype(int)]
