"""Clips on the disk, and outputs of networks for them."""

import json

import numpy as np

from gaitkd_jax.distill.cache import clips as clips_lib
from gaitkd_jax.distill.cache import shards


def write_clips(config, folder, monkeypatch, shard_bytes=2**22):
  """Writes clips in small files; returns their folder."""
  monkeypatch.setattr(clips_lib, "_SHARD_BYTES", shard_bytes)
  clips_lib.fill(config, folder)
  return folder / "clips"


def read_clips(folder):
  """The arrays of every file, by its name, without pickle."""
  found = {}
  for path in sorted(folder.glob("clips-*.npz")):
    with np.load(path, allow_pickle=False) as file:
      found[path.stem] = {key: file[key] for key in file.files}
  return found


def index(folder, rows, shard_rows):
  """Writes the index of clips whose files are not there; returns seals."""
  digests = [
    shards.digest({"row": np.arange(first, min(first + shard_rows, rows))})
    for first in range(0, rows, shard_rows)
  ]
  header = dict(
    format=1,
    data=dict(sequences=rows // 2),
    clip=dict(kind="fixed_ordered"),
    augment={},
    seed=0,
    views=2,
    modalities=["silhouettes"],
    shard_rows=shard_rows,
  )
  folder.mkdir()
  (folder / "header.json").write_text(json.dumps(header))
  progress = dict(done=rows, total=rows, digests=digests)
  (folder / "progress.json").write_text(json.dumps(progress))
  return [np.frombuffer(bytes.fromhex(d), np.uint8) for d in digests]


def write_safetensors(path, arrays):
  """As github.com/huggingface/safetensors describes the format."""
  names = {"float32": "F32", "float16": "F16", "int64": "I64", "uint8": "U8"}
  header, data = {"__metadata__": {"made by": "a test"}}, b""
  for name, array in arrays.items():
    begin, data = len(data), data + np.ascontiguousarray(array).tobytes()
    header[name] = dict(
      dtype=names[array.dtype.name],
      shape=list(array.shape),
      data_offsets=[begin, len(data)],
    )
  text = json.dumps(header).encode()
  path.write_bytes(len(text).to_bytes(8, "little") + text + data)
