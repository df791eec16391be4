"""Makes a teacher's store of what a network of another program made of clips.

For every file of clips there is one of outputs with the same name, .npz or
.safetensors, which holds
  "embedding": floating-point `[n, p, d]`,
  "logits": floating-point `[n, p, k]`, if the network classifies,
  "neck": floating-point `[n, p, d]`, the embedding behind a normalisation, if
    there is one; only its signs are kept. Where there is none, a channel's sign
    is that of its difference from its mean over all clips.
  "row", "digest": those of the clips' file, so that nothing is mixed up.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import hashlib
import os
from typing import Any

import numpy as np
import tqdm

from gaitkd_jax import errors
from gaitkd_jax import losses
from gaitkd_jax import storage
from gaitkd_jax.distill.cache import array_files
from gaitkd_jax.distill.cache import header as header_lib
from gaitkd_jax.distill.cache import shards as shards_lib
from gaitkd_jax.distill.cache import store as store_lib

Edges = Sequence[tuple[float, float]]
_AXES = dict(embedding="[n, p, d]", logits="[n, p, k]", neck="[n, p, d]")
_WANTED, _OPTIONAL = ("embedding", "row", "digest"), ("logits", "neck")


def import_outputs(
  clips: str | os.PathLike[str],
  outputs: str | os.PathLike[str],
  folder: str | os.PathLike[str],
  name: str,
  edges: Edges | None = None,
  dtype: str = "float32",
) -> dict[str, Any]:
  """Makes the store of a teacher that is not here.

  All files are read and checked before anything is written. A run that was
  stopped goes on when it is started again.

  Args:
    clips: the folder that `clips.fill` wrote. Its files need not be there any
      more, but header.json and progress.json.
    outputs: the folder with a file for each of them.
    folder: takes the store.
    name: of the teacher, which the store keeps.
    edges: (top, bottom) of every part, as shares of the height; None: strips of
      equal height.
    dtype: of what is stored, "float32" or "float16".

  Returns:
    The header of the store. Its "digest" is the SHA-256 of all outputs, in the
    order of the clips.

  Raises:
    errors.UserError: what the user can mend.
  """
  if not name.strip():
    raise errors.UserError("--name is empty; give the network's")
  index = shards_lib.Index.open(clips)
  files = _find(index, storage.path(outputs))
  digest, first, total = hashlib.sha256(), None, np.zeros([])
  for shard, path in enumerate(_bar(files, "check")):
    arrays = _read(index, shard, path, dtype)
    if first is None:
      first = arrays
      edges = _check_edges(edges, arrays["embedding"].shape[1])
    _check_alike(files[0], first, path, arrays)
    total = total + arrays["embedding"].sum(axis=0, dtype=np.float64)
    for array in arrays.values():
      digest.update(np.ascontiguousarray(array, "<f4").data)
  assert first is not None and edges is not None
  digest.update(repr(edges).encode())
  header = _header(index, first, name, edges, digest.hexdigest(), dtype)
  found = store_lib.read_json(storage.path(folder), store_lib.HEADER)
  if found not in (None, header):
    raise errors.UserError(
      f"{folder} holds another store already; give a new folder"
    )
  writer = store_lib.Writer(folder, header)
  for shard, path in enumerate(_bar(files, "write")):
    start, end = index.rows(shard)
    if start < writer.done:
      continue
    arrays = _read(index, shard, path, dtype)
    writer.write(start, _rows(arrays, total / index.total, dtype))
    writer.commit(end, {})
  return header


def _rows(
  arrays: Mapping[str, np.ndarray], mean: np.ndarray, dtype: str
) -> dict[str, np.ndarray]:
  """What is stored of a file, see `rows.encode`; `mean` is `[p, d]`."""
  embedding = arrays["embedding"]
  positive = arrays["neck"] > 0 if "neck" in arrays else embedding > mean
  rows = {key: arrays[key].astype(dtype) for key in arrays if key != "neck"}
  return rows | {"sides": np.packbits(positive, axis=-1)}


def _bar(files: Sequence[storage.Path], what: str) -> Any:
  return tqdm.tqdm(files, desc=what, unit="file", disable=None)


def _find(index: shards_lib.Index, outputs: storage.Path) -> list[storage.Path]:
  """The files of outputs, in the order of the clips."""
  there = {
    n for n in storage.names(outputs) if n.endswith(array_files.SUFFIXES)
  }
  if not there:
    raise errors.UserError(
      f"--outputs {outputs} has no .npz or .safetensors; give the folder with "
      "a file of outputs for every file of clips"
    )
  files = []
  for shard in range(len(index.digests)):
    stem = shards_lib.file_stem(shard)
    found = [stem + s for s in array_files.SUFFIXES if stem + s in there]
    first, end = index.rows(shard)
    if not found:
      raise errors.UserError(
        f"{outputs} lacks {stem}.npz (or .safetensors), the outputs for rows "
        f"{first} to {end - 1}; run the network on {stem}.npz of the clips"
      )
    if len(found) > 1:
      raise errors.UserError(
        f"{outputs} has both {' and '.join(found)}; delete one"
      )
    there -= set(found)
    files.append(outputs / found[0])
  if there:
    raise errors.UserError(
      f"{outputs} has {min(there)}, but the clips have only "
      f"{len(files)} files, {shards_lib.file_stem(0)} to "
      f"{shards_lib.file_stem(len(files) - 1)}; take it out"
    )
  return files


def _read(
  index: shards_lib.Index, shard: int, path: storage.Path, dtype: str
) -> dict[str, np.ndarray]:
  """Reads and checks a file; its outputs are float32, in the order of rows."""
  arrays = array_files.read(path)
  lacking = [key for key in _WANTED if key not in arrays]
  unknown = [key for key in arrays if key not in (*_WANTED, *_OPTIONAL)]
  if lacking or unknown:
    raise errors.UserError(
      f"{path} has {', '.join(sorted(arrays)) or 'no array'}; it takes "
      f"{', '.join(_WANTED)} and, where the network has them, "
      f"{', '.join(_OPTIONAL)}"
    )
  order = _order(index, shard, path, arrays.pop("row"), arrays.pop("digest"))
  parts = arrays["embedding"].shape[1:2]
  for key, array in arrays.items():
    axes = _AXES[key]
    if not _is_float(array.dtype) or array.ndim != 3 or not array.size:
      one = "; of one part p is 1" if array.ndim == 2 else ""
      raise errors.UserError(
        f"{path}: {key} is {array.dtype} {list(array.shape)}, not "
        f"floating-point {axes}{one}"
      )
    if len(array) != len(order):
      raise errors.UserError(
        f"{path}: {key} has {len(array)} rows, and there are {len(order)} clips"
      )
    if array.shape[1:2] != parts:
      raise errors.UserError(
        f"{path}: {key} is {list(array.shape)} and the embedding has "
        f"{parts[0]} parts; both have the parts second, as in {axes}"
      )
    if not np.isfinite(array).all():
      row, part, _ = np.argwhere(~np.isfinite(array))[0]
      raise errors.UserError(
        f"{path}: {key} is NaN or infinite at [{row}, {part}]; look at the "
        "network"
      )
    if np.abs(array).max() > np.finfo(dtype).max:
      raise errors.UserError(
        f"{path}: {key} goes up to {np.abs(array).max():g}, which {dtype} "
        "cannot hold; give another --dtype, or scale it"
      )
    arrays[key] = array.astype(np.float32)[order]
  if "neck" in arrays and arrays["neck"].shape != arrays["embedding"].shape:
    raise errors.UserError(
      f"{path}: neck is {list(arrays['neck'].shape)} and the embedding "
      f"{list(arrays['embedding'].shape)}; they have the same channels"
    )
  return {key: arrays[key] for key in _AXES if key in arrays}


def _is_float(dtype: np.dtype) -> bool:
  return dtype.kind == "f" or dtype.name == "bfloat16"


def _order(
  index: shards_lib.Index,
  shard: int,
  path: storage.Path,
  row: np.ndarray,
  digest: np.ndarray,
) -> np.ndarray:
  """Which row of a file is that of the first clip, and so on."""
  if digest.dtype != np.uint8 or digest.shape != (32,):
    raise errors.UserError(
      f"{path}: digest is {digest.dtype} {list(digest.shape)}, not uint8 [32]; "
      "copy that of the clips' file"
    )
  wanted, found = index.digests[shard], digest.tobytes().hex()
  if found != wanted:
    raise errors.UserError(
      f"{path} was made from other clips (digest {found[:12]}, these have "
      f"{wanted[:12]}); run the network on these, or give the --clips that it "
      "has seen"
    )
  first, end = index.rows(shard)
  if row.dtype.kind not in "iu" or row.ndim != 1:
    raise errors.UserError(
      f"{path}: row is {row.dtype} {list(row.shape)}, not whole numbers [n]; "
      "copy that of the clips' file"
    )
  order = np.argsort(row, kind="stable")
  rows = np.arange(first, end)
  if np.array_equal(row[order], rows):
    return order
  if missing := sorted(set(rows.tolist()) - set(row.tolist())):
    raise errors.UserError(
      f"{path} lacks {len(missing)} of {len(rows)} rows, the first is "
      f"{missing[0]}; run the network on all clips of the file"
    )
  raise errors.UserError(
    f"{path} has {len(row)} rows, and the clips' file has {len(rows)}, {first} "
    f"to {end - 1}; give each once"
  )


def _check_edges(edges: Edges | None, parts: int) -> Edges:
  """The edges of the parts; a UserError if they cannot be."""
  if edges is None:
    return losses.strip_edges([parts])
  if len(edges) != parts:
    raise errors.UserError(
      f"--edges has {len(edges)} parts, and the embedding {parts}; give "
      "top:bottom of each"
    )
  for top, bottom in edges:
    if not 0 <= top < bottom <= 1:
      raise errors.UserError(
        f"--edges has {top:g}:{bottom:g}; give top:bottom as shares of the "
        "height, 0 to 1, the top first"
      )
  return [(float(top), float(bottom)) for top, bottom in edges]


def _check_alike(
  first_path: storage.Path,
  first: Mapping[str, np.ndarray],
  path: storage.Path,
  arrays: Mapping[str, np.ndarray],
) -> None:
  """Raises a UserError if two files hold outputs of other shapes."""
  expected, found = (
    {key: list(x.shape[1:]) for key, x in of.items()} for of in (first, arrays)
  )
  if expected != found:
    raise errors.UserError(
      f"{path} has {found} a clip, and {first_path} {expected}; write all by "
      "one network"
    )


def _header(
  index: shards_lib.Index,
  arrays: Mapping[str, np.ndarray],
  name: str,
  edges: Edges,
  digest: str,
  dtype: str,
) -> dict[str, Any]:
  """The header of the store."""
  keys = ("format", "data", "clip", "augment", "seed", "views")
  logits = arrays.get("logits")
  mean = np.zeros(arrays["embedding"].shape[1:])
  return {
    **{key: index.header[key] for key in keys},
    "model": header_lib.IMPORTED,
    "imported": {"name": name, "edges": [list(edge) for edge in edges]},
    "digest": digest,
    "classes": 0 if logits is None else logits.shape[-1],
    "largest": 0,
    "arrays": {
      key: {"dtype": x.dtype.name, "shape": [index.total, *x.shape[1:]]}
      for key, x in sorted(_rows(arrays, mean, dtype).items())
    },
  }
