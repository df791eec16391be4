"""Reads any folder of sequences, whatever its folders are called."""

import os
import pathlib

import tqdm

from data_pipelines import datasets
from data_pipelines import frames
from data_pipelines import store as store_lib
from data_pipelines import tree
from gaitkd_jax.errors import UserError

_LISTED = 20  # damaged files that an error names


def find_sequences(
  root: str | os.PathLike[str], flag: str
) -> dict[str, pathlib.Path]:
  """Finds the folders that hold frames or a pickle of silhouettes.

  Args:
    root: is searched with all folders below it; links are followed.
    flag: what the user calls it, for messages.

  Returns:
    {name: folder}; a name is the path below `root`, or the name of `root`
    itself.

  Raises:
    UserError: the folder is missing or holds nothing of the kind.
  """
  root = pathlib.Path(root)
  if str(root).startswith(("gs:/", "s3:/")):
    raise UserError(
      f"{flag} {root} lies in an object store; give a store of embeddings, or "
      "copy the folder of silhouettes to the disk, and give that"
    )
  if not root.is_dir():
    raise UserError(
      f"{flag} {root} is not a folder; give a store of embeddings, or a folder "
      "of silhouettes"
    )
  found, seen = {}, set()
  for folder, below, _ in os.walk(root, followlinks=True):
    below.sort(key=tree.natural_key)
    # A link may lead back to a folder above it.
    if (real := os.path.realpath(folder)) in seen:
      below.clear()
      continue
    seen.add(real)
    if tree.sequence_files(folder):
      name = pathlib.Path(folder).relative_to(root).as_posix()
      name = name if name != "." else root.resolve().name
      found[name.encode(errors="replace").decode()] = pathlib.Path(folder)
  if not found:
    raise UserError(
      f"{flag} {root} holds neither a store of embeddings nor a PNG or JPG "
      "file or a pickle; check the path"
    )
  return found


def read_sequences(
  found: dict[str, pathlib.Path], data: str, flag: str
) -> store_lib.SequenceStore:
  """Reads sequences as the builder of a data set does; shows a bar.

  Args:
    found: of `find_sequences`.
    data: name of the data set whose pre-treatment is wanted; CASIA-B's if it
      is no data set that is read from a tree.
    flag: what the user calls the folder, for messages.

  Returns:
    All sequences that can be used, compressed in memory: some 0.1 MB each. What
    was mended or left out is printed.

  Raises:
    UserError: files are damaged, up to 20 of them are named; or no sequence
      can be used.
  """
  source = datasets.source(data if data in datasets.TREES else "casiab")
  columns = {key: [] for key in (*store_lib.TEXTS, "length", "size")}
  records, damaged = [], []
  for name, path in tqdm.tqdm(
    found.items(), desc="read", unit="seq", disable=None
  ):
    folder = tree.SequenceFolder("", "", path.resolve().name, str(path))
    try:
      sequence = frames.read_sequence(folder, source)
    except frames.EmptySequenceError as reason:
      tqdm.tqdm.write(f"left out: {name}, {reason}")
      continue
    except frames.DamagedFilesError as error:
      damaged += error.findings
      if len(damaged) > _LISTED:
        break
      continue
    for note in sequence.notes:
      tqdm.tqdm.write(f"{name}: {note}")
    texts = {key: "" for key in store_lib.TEXTS} | {"name": name}
    records.append(store_lib.serialize(sequence.arrays, texts))
    row = texts | {
      "length": len(sequence.arrays["silhouettes"]),
      "size": len(records[-1]),
    }
    for key, value in row.items():
      columns[key].append(value)
  if damaged:
    raise UserError(" ".join(damaged[:_LISTED]))
  if not records:
    raise UserError(
      f"no frame of the {len(found)} sequences of {flag} is usable; give white "
      "silhouettes on black"
    )
  return store_lib.SequenceStore(columns, ("silhouettes",), records=records)
