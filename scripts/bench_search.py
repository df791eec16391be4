"""Times a search in a gallery on the disk, and how exact it is.

python scripts/bench_search.py --gallery=1000000 --probes=10000 \
  --dtype=float16 --memory_gib=1
python scripts/bench_search.py --scoring

On an idle machine. The gallery is synthetic: identities of eight sequences,
each its identity's centre and noise of half that size, so that neighbours mean
something. It is written once to --folder (8.2 GB of it at the numbers above)
and found there again.

Prints the seconds of the search, compilation included; its pairs a second; its
multiplications as a share of those of one large float32 matrix product in the
same run; the memory: the largest resident set, in which pages of the gallery's
file count that the system may drop at any time, and the largest sum of pages
that are the process's own (RssAnon); and the recall against brute force in
float32 over embeddings that were never rounded, for a sample of the probes.

--scoring times instead the evaluation of a set of CASIA-B's size.
"""

from collections.abc import Callable
from collections.abc import Iterator
import math
import pathlib
import re
import resource
import shutil
import threading
import time
from typing import Any

from absl import flags
import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from gaitkd_jax import cli
from gaitkd_jax import errors
from gaitkd_jax import evaluation
from gaitkd_jax import storage
from gaitkd_jax.evaluation import search

_GALLERY = flags.DEFINE_integer("gallery", 1_000_000, "embeddings", 1)
_PROBES = flags.DEFINE_integer("probes", 10_000, "embeddings", 1)
_PARTS = flags.DEFINE_integer("parts", 16, "of an embedding", 1)
_CHANNELS = flags.DEFINE_integer("channels", 256, "of a part", 1)
_DTYPE = flags.DEFINE_enum(
  "dtype", "float16", ["float16", "float32"], "of the gallery on the disk"
)
_MEMORY = flags.DEFINE_float("memory_gib", 1.0, "budget of the search", 0.0)
_TOP = flags.DEFINE_integer("top", 10, "nearest of a probe", 1)
_RECALL_PROBES = flags.DEFINE_integer("recall_probes", 20, "0: no recall", 0)
_SEED = flags.DEFINE_integer("seed", 0, "of the embeddings", 0)
_FOLDER = flags.DEFINE_string("folder", "runs/bench_search", "of the gallery")
_SCORING = flags.DEFINE_bool("scoring", False, "time an evaluation instead")
_IDENTITIES, _SEQUENCES = 256, 8  # of a block of the gallery
_BLOCK = _IDENTITIES * _SEQUENCES
_NOISE = 0.5
# Streams of random numbers.
_CENTRES, _ITEMS, _CHOICE, _PROBE_NOISE = range(4)
_SIDE = 2048  # of the matrices whose product is the measure
_EVERY = 0.02  # seconds between two looks at the memory
# CASIA-B's test split has 15 sequences less than its conditions and views.
_CONDITIONS = (
  *(f"nm-0{i}" for i in range(1, 7)),
  *("bg-01", "bg-02", "cl-01", "cl-02"),
)
_VIEWS = tuple(f"{angle:03}" for angle in range(0, 181, 18))
_SUBJECTS, _ABSENT = 50, 15


def normal(count: int, stream: int, block: int = 0) -> np.ndarray:
  """Draws float32 `[count, p, d]`, the same ones in every call."""
  # Philox: its streams are independent, in any order.
  rng = np.random.Generator(
    np.random.Philox(key=_SEED.value, counter=[0, 0, block, stream])
  )
  shape = (count, _PARTS.value, _CHANNELS.value)
  return rng.standard_normal(shape, np.float32)


def gallery_blocks(desc: str) -> Iterator[tuple[int, np.ndarray]]:
  """Yields the first row of a block and its float32 `[m, p, d]`, in turn."""
  total = _GALLERY.value
  with tqdm.tqdm(total=total, desc=desc, unit="seq", disable=None) as bar:
    for block, start in enumerate(range(0, total, _BLOCK)):
      items = normal(_BLOCK, _ITEMS, block) * np.float32(_NOISE)
      by_identity = items.reshape(_IDENTITIES, _SEQUENCES, *items.shape[1:])
      by_identity += normal(_IDENTITIES, _CENTRES, block)[:, None]
      items = items[: total - start]
      yield start, items
      bar.update(len(items))


def make_gallery() -> np.ndarray:
  """Writes the gallery, if it is not there, and maps it."""
  shape = (_GALLERY.value, _PARTS.value, _CHANNELS.value)
  size = math.prod(shape) * np.dtype(_DTYPE.value).itemsize
  name = "x".join(map(str, shape)) + f"-{_DTYPE.value}-{_SEED.value}.npy"
  path = storage.on_disk(_FOLDER.value, "--folder") / name
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
      free = shutil.disk_usage(path.parent).free
      if free < size:
        raise errors.UserError(
          f"--folder {path.parent} has {free / 1e9:.1f} GB left, and the "
          f"gallery takes {size / 1e9:.1f}; give another, or a smaller "
          "--gallery"
        )
      new = path.with_suffix(".tmp")
      # Written as a file, not mapped: its pages would count as the process's.
      with new.open("wb") as file:
        header = {
          "descr": np.dtype(_DTYPE.value).str,
          "fortran_order": False,
          "shape": shape,
        }
        np.lib.format.write_array_header_1_0(file, header)
        for _, items in gallery_blocks("write"):
          file.write(items.astype(_DTYPE.value).tobytes())
      new.replace(path)
    print(f"gallery: {path}, {size / 1e9:.2f} GB", flush=True)
    return np.load(path, mmap_mode="r", allow_pickle=False)
  except (OSError, ValueError) as e:
    if isinstance(e, errors.UserError):
      raise
    raise errors.UserError(
      f"the gallery {path} cannot be written or read ({e}); delete it, or give "
      "another --folder"
    ) from e


def make_probes() -> np.ndarray:
  """Makes sequences of identities of the gallery: float32 `[a, p, d]`."""
  rng = np.random.Generator(
    np.random.Philox(key=_SEED.value, counter=[0, 0, 0, _CHOICE])
  )
  identities = -(-_GALLERY.value // _SEQUENCES)
  chosen = rng.integers(0, identities, _PROBES.value)
  probes = np.float32(_NOISE) * normal(_PROBES.value, _PROBE_NOISE)
  for block in tqdm.tqdm(
    np.unique(chosen // _IDENTITIES), desc="probes", disable=None
  ):
    rows = np.flatnonzero(chosen // _IDENTITIES == block)
    probes[rows] += normal(_IDENTITIES, _CENTRES, block)[
      chosen[rows] % _IDENTITIES
    ]
  return probes


def product_rate() -> float:
  """Multiplications a second of a large float32 matrix product."""
  x = jnp.ones((_SIDE, _SIDE), jnp.float32)
  product = jax.jit(
    lambda x: jnp.dot(x, x, precision=jax.lax.Precision.HIGHEST)
  )
  jax.block_until_ready(product(x))
  times = []
  for _ in range(5):
    start = time.perf_counter()
    jax.block_until_ready(product(x))
    times.append(time.perf_counter() - start)
  return _SIDE**3 / min(times)


def _private_pages() -> int:
  """Bytes of memory that are the process's own, mapped files left out."""
  status = pathlib.Path("/proc/self/status")
  found = re.search(r"RssAnon:\s+(\d+)", status.read_text())
  return 1024 * int(found[1])


def measure(run: Callable[[], Any]) -> tuple[Any, str, float]:
  """Runs a function.

  Returns:
    What it returns, its memory in words, and its seconds.
  """
  before = (
    _private_pages() if pathlib.Path("/proc/self/status").exists() else None
  )
  largest, done = before, threading.Event()

  def watch() -> None:
    nonlocal largest
    while not done.wait(_EVERY):
      largest = max(largest, _private_pages())

  watcher = threading.Thread(target=watch, daemon=True)
  if before is not None:
    watcher.start()
  start = time.perf_counter()
  try:
    result = run()
  finally:
    seconds = time.perf_counter() - start
    done.set()
    if before is not None:
      watcher.join()
  peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  text = f"largest resident set {peak / 2**30:.2f} GiB"
  if before is not None:
    text += (
      f", own pages {largest / 2**30:.2f} GiB, of which "
      f"{before / 2**30:.2f} were there before"
    )
  return result, text, seconds


def brute_force(probes: np.ndarray, top: int) -> np.ndarray:
  """The nearest of the gallery as it was before it was stored.

  Args:
    probes: float32 `[a, p, d]`.
    top: how many.

  Returns:
    Rows, int `[a, top]`, the nearest first.
  """
  distance = np.full((len(probes), top), np.inf, np.float32)
  rows = np.zeros((len(probes), top), np.int64)
  for start, items in gallery_blocks("brute force"):
    found = np.empty((len(probes), len(items)), np.float32)
    # One at a time, and by differences: products would cancel.
    for values, probe in zip(found, probes, strict=True):
      apart = items - probe[None]
      square = np.einsum("mpd,mpd->mp", apart, apart)
      values[:] = np.sqrt(square).mean(axis=-1)
    distance = np.concatenate([distance, found], axis=1)
    here = np.broadcast_to(start + np.arange(len(items))[None, :], found.shape)
    rows = np.concatenate([rows, here], axis=1)
    order = np.argsort(distance, axis=1, kind="stable")[:, :top]
    distance = np.take_along_axis(distance, order, axis=1)
    rows = np.take_along_axis(rows, order, axis=1)
  return rows


def recall(found: np.ndarray, right: np.ndarray) -> float:
  """The percentage of `right` `[a, k]` that is in `found` `[a, k]`."""
  there = (found[:, :, None] == right[:, None, :]).any(axis=1)
  return 100 * there.mean()


def bench_search() -> None:
  """Makes the gallery, searches it, and says how well."""
  gallery, probes = make_gallery(), make_probes()
  top = min(_TOP.value, len(gallery))
  rate = product_rate()
  (_, rows), memory, seconds = measure(
    lambda: search.nearest(
      probes, gallery, top, "euclidean", memory_gib=_MEMORY.value
    )
  )
  pairs = len(probes) * len(gallery)
  share = pairs * math.prod(probes.shape[1:]) / seconds / rate
  print(
    f"{len(probes)} probes in {len(gallery)} x {_PARTS.value} x "
    f"{_CHANNELS.value} {_DTYPE.value}: {seconds:.1f} s, {pairs / seconds:.3g} "
    f"pairs a second, {100 * share:.0f} % of a matrix product "
    f"({2 * rate / 1e9:.0f} GFLOP/s)"
  )
  print(f"budget {_MEMORY.value:g} GiB: {memory}", flush=True)
  count = min(_RECALL_PROBES.value, len(probes))
  if count:
    rng = np.random.Generator(np.random.Philox(key=_SEED.value))
    sample = np.sort(rng.choice(len(probes), count, replace=False))
    right = brute_force(probes[sample], top)
    found = rows[sample]
    print(
      f"recall@1 {recall(found[:, :1], right[:, :1]):.2f} %, recall@{top} "
      f"{recall(found, right):.2f} %, of {count} probes"
    )


def bench_scoring() -> None:
  """Scores a set of CASIA-B's size twice: the first time compiles."""
  keys = [
    (f"{subject:03}", condition, view)
    for subject in range(75, 75 + _SUBJECTS)
    for condition in _CONDITIONS
    for view in _VIEWS
  ]
  subjects, conditions, views = np.array(keys).T
  by_subject = normal(_SUBJECTS, _CENTRES)
  embeddings = normal(len(keys), _ITEMS)
  embeddings += by_subject[np.arange(len(keys)) // (len(keys) // _SUBJECTS)]
  kept = slice(len(keys) - _ABSENT)
  for attempt in ("first", "second"):
    metrics, memory, seconds = measure(
      lambda: evaluation.evaluate_embeddings(
        "casiab",
        embeddings[kept],
        subjects[kept],
        conditions[kept],
        views[kept],
      )
    )
    print(
      f"scoring {len(keys) - _ABSENT} x {_PARTS.value} x {_CHANNELS.value}, "
      f"{attempt} time: {seconds:.2f} s (mean Rank-1 "
      f"{metrics['mean/rank1']:.2f} %); {memory}",
      flush=True,
    )


def main(argv: list[str]) -> None:
  """Runs one of the two benchmarks."""
  del argv
  print(
    f"{jax.device_count()} x {jax.devices()[0].device_kind}, jax "
    f"{jax.__version__}",
    flush=True,
  )
  if _SCORING.value:
    bench_scoring()
  else:
    bench_search()


if __name__ == "__main__":
  cli.run(main)
