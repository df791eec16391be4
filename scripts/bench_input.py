"""Measures how fast the input pipeline feeds training.

    python scripts/bench_input.py --augment=0.2

builds a store of CASIA-B's size from moving blobs and prints the sequences a
second of the best and of the median repetition, the bytes a second that the
accelerator would get, the CPU time of a sequence (which, unlike the others,
hardly depends on what else the machine does), and the peak memory of the
process.
"""

from __future__ import annotations

import argparse
import os
import resource
import time

import numpy as np

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


def make_store(
  subjects: int, sequences: int, frames: int
) -> store_lib.SequenceStore:
  """Returns a store of few distinct walks, repeated to the asked size."""
  rng = np.random.default_rng(0)
  walks = [
    make_walk(frames, rng.uniform(0, 6.3), rng.uniform(0.8, 1.3))
    for _ in range(24)
  ]
  names = [f"{i:02}" for i in range(len(walks))]
  few = store_lib.SequenceStore.from_arrays(walks, names, names, names)
  packed = [few.frames[o : o + frames] for o in few.offsets]
  n = subjects * sequences
  return store_lib.SequenceStore(
    [packed[i % len(packed)] for i in range(n)],
    [f"{i // sequences:05}" for i in range(n)],
    [f"{i % sequences:05}" for i in range(n)],
    ["090"] * n,
  )


def main() -> None:
  """Builds the store, warms up, measures and prints."""
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
  parser.add_argument("--batches", type=int, default=40)
  parser.add_argument("--repetitions", type=int, default=5)
  args = parser.parse_args()

  store = make_store(*args.store)
  packed = np.mean([len(frame) for frame in store.frames[:500].numpy()])
  print(
    f"store: {len(store)} sequences, {len(store.frames)} frames,"
    f" {packed:.0f} bytes a frame, load {os.getloadavg()[0]:.2f}"
    f" on {os.cpu_count()} cores"
  )
  p = args.augment
  batches = pipeline.train_batches(
    store,
    identities=args.identities,
    sequences=args.sequences,
    clip=pipeline.Clip(frames=args.frames),
    augment=pipeline.Augment(p, p, p, p),
    seed=0,
  )
  for _ in range(5):
    batch = next(batches)
  rates, costs = [], []
  for _ in range(args.repetitions):
    start, busy = time.perf_counter(), time.process_time()
    for _ in range(args.batches):
      batch = next(batches)
    n = args.batches * len(batch["labels"])
    rates.append(n / (time.perf_counter() - start))
    costs.append((time.process_time() - busy) / n)
  size = batch["silhouettes"].nbytes / len(batch["labels"])
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
  print(
    f"{max(rates):.0f} sequences/s (median {np.median(rates):.0f}),"
    f" {max(rates) * size / 1e6:.0f} MB/s, CPU {min(costs) * 1e6:.0f} us a"
    f" sequence, peak {peak:.2f} GiB, load {os.getloadavg()[0]:.2f}"
  )


if __name__ == "__main__":
  main()
