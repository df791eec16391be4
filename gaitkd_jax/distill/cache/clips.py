"""Writes the clips of training, for networks of other programs.

python -m gaitkd_jax.main --config=configs/walkers.py --mode=cache \
  --cache.clips_only --workdir=runs/walkers_clips
"""

from collections.abc import Generator
import contextlib
import os
import time
from typing import Any

import jax
import numpy as np
import tqdm

from gaitkd_jax import config as config_lib
from gaitkd_jax import errors
from gaitkd_jax import storage
from gaitkd_jax import workdir as workdir_lib
from gaitkd_jax.distill.cache import header as header_lib
from gaitkd_jax.distill.cache import shards as shards_lib
from gaitkd_jax.hosts import stopping
from gaitkd_jax.models import network

# Pixels of a file, before they are compressed: what a reader holds at once.
_SHARD_BYTES = 2**26
_BATCH = 32


def fill(config: Any, workdir: str | os.PathLike[str]) -> dict[str, float]:
  """Writes `<workdir>/clips/`: `cache.views` clips of every sequence.

  They are those that a training with cached teachers shows. Each file has the
  arrays, of n clips of s frames:
    "silhouettes": uint8 `[n, s, h, w]`, augmented.
    "heatmaps": uint8 `[n, s, h, w, 2]`, where `data.modalities` names them.
    "lengths": int32 `[n]`, frames of a clip; behind them are zeros.
    "frames": int32 `[n, s]`, the position in its prepared sequence of every
      frame; -1 behind the clip.
    "names": str `[n]`, of the sequences, "<subject>/<condition>/<view>...".
    "labels": int32 `[n]`, of the subjects.
    "sequence", "clip": int32 `[n]`, position of the sequence in the split, and
      number of the clip.
    "row": int64 `[n]`, sequence * views + clip.
    "seed": uint64 `[]`; with sequence and clip it determines the draws.
    "digest": uint8 `[32]`, SHA-256 of the arrays before.

  A run that was stopped, however abruptly, goes on when it is started again,
  and gives the same bytes.

  Args:
    config: see `config.default`. Its networks do not matter.
    workdir: takes the folder.

  Returns:
    Metrics: "seconds" and "clips_per_second" of this run, and "bytes_per_clip"
    of what it wrote, 0 if that is nothing.

  Raises:
    errors.UserError: what the user can mend.
    errors.Stopped: by a signal.
  """
  # TensorFlow is loaded by a run, not by an import of this module.
  from data_pipelines import training

  if jax.process_count() > 1:
    raise errors.UserError(
      "cache.clips_only is the work of one process; start it without "
      "--multihost"
    )
  config_lib.check(config)
  workdir_lib.make_workdir(workdir)
  split = training.training_split(config)
  folder = storage.path(workdir) / "clips"
  data = header_lib.describe_data(config.data, split)
  header = {
    "format": header_lib.FORMAT,
    **header_lib.describe_clips(config, data),
    "modalities": list(config.data.modalities),
    "shard_rows": _shard_rows(config),
  }
  writer = shards_lib.Writer(folder, header)
  began, first = time.monotonic(), writer.done
  with (
    tqdm.tqdm(
      total=writer.total,
      initial=first,
      desc="clips",
      unit="clip",
      disable=None,
    ) as bar,
    stopping.held(),
    contextlib.closing(_shards(config, split, writer)) as shards,
  ):
    for arrays in shards:
      writer.write(arrays)
      bar.update(len(arrays["row"]))
      if stopping.reached():
        break
    if writer.done < writer.total:
      raise stopping.stopped(
        f"after {writer.done} of {writer.total} clips, kept in {folder}"
      )
  seconds, written = time.monotonic() - began, writer.total - first
  each = writer.bytes / written if written else 0
  print(
    f"{folder}: {written} of {writer.total} clips ({config.cache.views} of "
    f"each sequence) in {seconds:.1f} s, {written / seconds:.1f} a second; "
    f"{each:.0f} bytes a clip"
  )
  print(
    "to teach with what a network makes of them: python "
    f"scripts/import_teacher.py --clips={folder} --outputs=<folder> "
    "--name=<name> --output=<folder>",
    flush=True,
  )
  return {
    "seconds": seconds,
    "clips_per_second": written / seconds,
    "bytes_per_clip": each,
  }


def _shard_rows(config: Any) -> int:
  """Rows of a file: a multiple of `_BATCH`, or fewer than that."""
  from data_pipelines import pipeline

  planes = sum(
    {"silhouettes": 1, "heatmaps": 2}[m] for m in _modalities(config)
  )
  pixels = pipeline.Clip(**config.clip).longest * np.prod(network.FRAME_SIZE)
  rows = max(_SHARD_BYTES // int(planes * pixels), 1)
  return rows // _BATCH * _BATCH or rows


def _modalities(config: Any) -> list[str]:
  return [m for m in config_lib.MODALITIES if m in config.data.modalities]


def _shards(
  config: Any, split: Any, writer: shards_lib.Writer
) -> Generator[dict[str, np.ndarray], None, None]:
  """Yields the arrays of the files that are not written yet."""
  from data_pipelines import pipeline
  from data_pipelines import sampling

  if writer.done == writer.total:
    return
  clip = pipeline.Clip(**config.clip)
  views, size = config.cache.views, writer.shard_rows
  batch_size = min(_BATCH, size)
  batches: Any = pipeline.clip_batches(
    split,
    batch_size=batch_size,
    clip=clip,
    augment=pipeline.Augment(**config.augment),
    seed=config.seed,
    clips_per_sequence=views,
    start=writer.done,
  )
  with contextlib.closing(batches):
    for first in range(writer.done, writer.total, size):
      count = min(size, writer.total - first)
      several = [next(batches) for _ in range(-(-count // batch_size))]
      row = first + np.arange(count)
      sequence, number = row // views, row % views
      frames, lengths = sampling.draw_clip_frames(
        split.lengths[sequence], clip, config.seed, sequence, number
      )
      frames[np.arange(clip.longest) >= lengths[:, None]] = -1
      arrays = {
        key: np.concatenate([batch[key] for batch in several])[:count]
        for key in _modalities(config)
      }
      yield arrays | {
        "lengths": lengths.astype(np.int32),
        "frames": frames.astype(np.int32),
        "names": split.names[sequence].astype(str),
        "labels": split.labels[sequence],
        "sequence": sequence.astype(np.int32),
        "clip": number.astype(np.int32),
        "row": row,
        "seed": np.uint64(config.seed),
      }
