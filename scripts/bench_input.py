"""Measures how fast the input pipeline feeds training.

python scripts/bench_input.py --augment=0.2

Writes a data set of CASIA-B's size, made of moving blobs, and prints, for one
and for two threads:
- sequences a second while the files are read for the first time (cold: the
  system was asked to drop them from memory), and in the best and the median
  repetition after that (warm);
- the bytes a second that the accelerator would get;
- the CPU time of a sequence, which, unlike the others, hardly depends on what
  else the machine does;
- the memory of the process.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import resource
import tempfile
import time

import numpy as np
import tqdm

from data_pipelines import pipeline
from data_pipelines import store as store_lib


def make_walk(frames: int, phase: float, girth: float) -> np.ndarray:
  """Returns uint8 [frames, 64, 64]: a body on two swinging legs."""
  y, x = np.mgrid[:64, :64] - 31.5
  walk = []
  for s in range(frames):
    swing = 10 * np.sin(phase + 2 * np.pi * s / 25)
    head = np.hypot(x, y + 24) - 5
    trunk = np.hypot(x / girth, (y + 6) / 2) - 7
    legs = [
      np.maximum(np.abs(x - side * swing * (y + 4) / 34) - 3, -y - 4)
      for side in (-1, 1)
    ]
    distance = np.minimum.reduce([head, trunk, *legs])
    walk.append(np.clip(0.5 - distance, 0, 1) * 255)
  return np.array(walk).astype(np.uint8)


def write_records(
  path: pathlib.Path, subjects: int, sequences: int, frames: int
) -> None:
  """Writes a few different walks, repeated to the given size, as TFRecord."""
  # Here, after data_pipelines has silenced the notices of TensorFlow's build.
  import tensorflow as tf

  rng = np.random.default_rng(0)
  walks = [
    make_walk(frames, rng.uniform(0, 6.3), rng.uniform(0.8, 1.3))
    for _ in range(24)
  ]
  names = [f"{i:02}" for i in range(len(walks))]
  few = store_lib.SequenceStore.from_arrays(walks, names, names, names)
  example = tf.train.Example()
  with tf.io.TFRecordWriter(str(path)) as writer:
    for i in tqdm.trange(subjects * sequences, desc="write", disable=None):
      if i < len(few) or i % sequences == 0:
        example.ParseFromString(few.read(i % len(few)))
      key = f"{i // sequences:05}", f"{i % sequences:05}", "090"
      texts = (*key, "-".join(key))
      for name, text in zip(store_lib.TEXTS, texts, strict=True):
        example.features.feature[name].bytes_list.value[:] = [text.encode()]
      writer.write(example.SerializeToString())


def forget(path: pathlib.Path) -> None:
  """Asks the system to drop the pages of a file from memory."""
  with path.open("rb") as file:
    os.fsync(file.fileno())
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def resident() -> float:
  """Returns GiB of memory that this process holds now."""
  pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
  return pages * resource.getpagesize() / 2**30


def measure(path: pathlib.Path, threads: int, args: argparse.Namespace) -> None:
  """Opens the file again, makes batches and prints."""
  store = store_lib.SequenceStore.from_files(
    [path], index=path.with_suffix(".npz"), cache_gib=args.cache_gib
  )
  p = args.augment
  forget(path)
  batches = pipeline.train_batches(
    store,
    identities=args.identities,
    sequences=args.sequences,
    clip=pipeline.Clip(frames=args.frames),
    augment=pipeline.Augment(flip=p, rotate=p, perspective=p, erase=p),
    seed=0,
    threads=threads,
  )
  next(batches)  # builds the graph
  rates, costs = [], []
  for _ in range(1 + args.repetitions):
    start, busy = time.perf_counter(), time.process_time()
    for _ in range(args.batches):
      batch = next(batches)
    n = args.batches * len(batch["labels"])
    rates.append(n / (time.perf_counter() - start))
    costs.append((time.process_time() - busy) / n)
  cold, *warm = rates
  if args.all:
    for i in range(len(store)):
      store.read(i)
  size = batch["silhouettes"].nbytes / len(batch["labels"])
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
  print(
    f"{threads} threads: cold {cold:.0f}, warm {max(warm):.0f} sequences/s"
    f" (median {np.median(warm):.0f}), {max(warm) * size / 1e6:.0f} MB/s, CPU"
    f" {min(costs) * 1e6:.0f} us a sequence, resident {resident():.2f} GiB,"
    f" peak {peak:.2f} GiB, load {os.getloadavg()[0]:.2f}",
    flush=True,
  )


def main() -> None:
  """Writes the data, measures and prints."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--identities", type=int, default=8)
  parser.add_argument("--sequences", type=int, default=16)
  parser.add_argument("--frames", type=int, default=30)
  parser.add_argument(
    "--augment", type=float, default=0.2, help="probability of each of four"
  )
  parser.add_argument(
    "--store",
    type=int,
    nargs=3,
    default=(74, 110, 80),
    metavar=("SUBJECTS", "SEQUENCES", "FRAMES"),
  )
  parser.add_argument("--cache_gib", type=float, default=16.0)
  parser.add_argument(
    "--all", action="store_true", help="read every sequence, for the memory"
  )
  parser.add_argument("--threads", type=int, nargs="+", default=(1, 2))
  parser.add_argument("--batches", type=int, default=40)
  parser.add_argument("--repetitions", type=int, default=5)
  args = parser.parse_args()
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "walks.tfrecord"
    write_records(path, *args.store)
    subjects, sequences, frames = args.store
    n = subjects * sequences
    size = path.stat().st_size
    print(
      f"{n} sequences of {frames} frames, {size / 2**30:.2f} GiB,"
      f" {size / n / frames:.0f} bytes a frame,"
      f" {os.cpu_count()} cores",
      flush=True,
    )
    for threads in args.threads:
      measure(path, threads, args)


if __name__ == "__main__":
  main()
