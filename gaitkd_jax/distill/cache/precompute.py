"""Runs teachers once over clips of the training sequences, for training.

python -m gaitkd_jax.main --config=configs/walkers.py --mode=cache \
  --workdir=runs/walkers_cache
python -m gaitkd_jax.main --config=configs/walkers.py \
  --config.teachers.deepgaitv2.cache=runs/walkers_cache/deepgaitv2
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import os
import time
from typing import Any

import jax
from jax.experimental import multihost_utils
from jax.sharding import Mesh
import numpy as np
import tqdm

from gaitkd_jax import checkpoint
from gaitkd_jax import config as config_lib
from gaitkd_jax import distill
from gaitkd_jax import errors
from gaitkd_jax import placement
from gaitkd_jax import sharding
from gaitkd_jax import storage
from gaitkd_jax import workdir as workdir_lib
from gaitkd_jax.distill import cache as cache_lib
from gaitkd_jax.distill.cache import clips as clips_lib
from gaitkd_jax.hosts import stopping
from gaitkd_jax.hosts import together

Arrays = dict[str, jax.Array]
# Batches between two records of progress.
_BLOCK = 16


def fill(
  config: Any, workdir: str | os.PathLike[str]
) -> dict[str, dict[str, float]]:
  """Fills `<workdir>/<teacher>/` for every teacher of `config`.

  With `config.cache.clips_only` it runs none, and writes the clips: see
  `clips.fill`.

  A run that was stopped, however abruptly, goes on when it is started again,
  and gives the same bytes. Teachers whose `cache` is set are left out.

  Args:
    config: see `config.default`; `cache` says how much is stored. A batch has
      as many clips as in training.
    workdir: takes the stores.

  Returns:
    Metrics by teacher: "bytes_per_sequence"; "seconds" and "clips_per_second"
    of this run; and, if there are logits, "absolute" and "divergence", see
    `cache_lib.error`.

  Raises:
    errors.UserError: what the user can mend.
  """
  from data_pipelines import training

  if config.cache.clips_only:
    return {"clips": clips_lib.fill(config, workdir)}
  mesh = sharding.create_mesh()
  config_lib.check(config)
  config_lib.check_batch(config, mesh.size)
  config = config.copy_and_resolve_references()
  with config.unlocked():
    for name in [n for n, t in config.teachers.items() if t.cache]:
      del config.teachers[name]
  if not config.teachers:
    raise errors.UserError(
      "--mode=cache runs teachers, but the config has none without a "
      "config.teachers.<name>.cache; add one, or unset it"
    )
  workdir_lib.make_workdir(workdir)
  teachers = distill.create_teachers(config.teachers, config.dtype)
  layouts = {name: _layout(config, t) for name, t in teachers.items()}
  variables = distill.restore_teachers(config, teachers, mesh)
  builder = together.prepare_data(config.data)
  split = training.training_split(config, builder)
  data = cache_lib.describe_data(config.data, split)
  metrics = {}
  for name, teacher in teachers.items():
    digest = checkpoint.digest(variables[name])
    header = cache_lib.describe(config, name, data, digest)
    rows = len(split) * config.cache.views
    header |= _arrays(layouts[name], rows)
    metrics[name] = _fill_one(
      config,
      teacher,
      variables[name],
      split,
      storage.path(workdir) / name,
      header,
      mesh,
    )
  return metrics


def _layout(config: Any, teacher: distill.Teacher) -> dict[str, Any]:
  """What a teacher's store holds: "classes", "largest" and "rows", one row."""
  shapes = teacher.shapes
  classes = shapes["logits"][-1] if "logits" in shapes else 0
  largest = config.cache.logits if classes else 0
  if largest and largest >= classes:
    raise errors.UserError(
      f"config.cache.logits is {largest}, but teacher {teacher.name} has "
      f"{classes} logits; give fewer, or 0 to store all"
    )
  if largest and not teacher.temperature(0) > 0:
    raise errors.UserError(
      f"config.teachers.{teacher.name}.temperature begins at "
      f"{teacher.temperature(0)}; give a positive number, or store all logits "
      "with config.cache.logits=0"
    )
  outputs = {
    key: jax.ShapeDtypeStruct(shapes[key], "float32")
    for key in ("embedding", "logits", "neck")
    if key in shapes
  }
  rows = jax.eval_shape(
    lambda x: cache_lib.encode(x, config.cache.dtype, largest), outputs
  )
  return {"classes": classes, "largest": largest, "rows": rows}


def _arrays(layout: Mapping[str, Any], rows: int) -> dict[str, Any]:
  """The part of a header that says how rows are stored."""
  arrays = {
    key: {"dtype": x.dtype.name, "shape": [rows, *x.shape[1:]]}
    for key, x in sorted(layout["rows"].items())
  }
  return {k: layout[k] for k in ("classes", "largest")} | {"arrays": arrays}


def _make_run(
  config: Any,
  teacher: distill.Teacher,
  header: Mapping[str, Any],
  mesh: Mesh,
) -> Callable[[Any, Mapping[str, jax.Array]], tuple[Arrays, Arrays]]:
  """Returns the jitted function from variables and batch to rows and errors."""
  scale, temperature = teacher.scale, float(teacher.temperature(0))

  def run(
    variables: Any, batch: Mapping[str, jax.Array]
  ) -> tuple[Arrays, Arrays]:
    out = distill.teacher_outputs(
      {teacher.name: teacher}, {teacher.name: variables}, batch
    )[teacher.name]
    rows = cache_lib.encode(
      out, config.cache.dtype, header["largest"], scale, temperature
    )
    if not header["classes"]:
      return rows, {}
    stored = cache_lib.decode(rows, header["classes"])["logits"]
    return rows, cache_lib.error(out["logits"], stored, scale, temperature)

  place = placement.place(teacher.network, config.sharding.classifier, mesh)
  whole, split = sharding.replicated(mesh), sharding.by_sequence(mesh)
  return jax.jit(
    run, in_shardings=(place.of_variables(), split), out_shardings=whole
  )


def _fill_one(
  config: Any,
  teacher: distill.Teacher,
  variables: Any,
  split: Any,
  folder: storage.Path,
  header: Mapping[str, Any],
  mesh: Mesh,
) -> dict[str, float]:
  """Fills the store of one teacher; see `fill`."""
  # All processes run; the first writes, and says where all of them begin.
  writer = together.first_alone(
    lambda: cache_lib.Writer(folder, header), f"open the store {folder}"
  )
  done = writer.done if writer else 0
  done = int(multihost_utils.broadcast_one_to_all(np.int32(done)))
  total = len(split) * config.cache.views
  size = config.batch.identities * config.batch.sequences
  run = _make_run(config, teacher, header, mesh)
  began = time.monotonic()
  pending: list[tuple[int, Any]] = []
  with (
    tqdm.tqdm(
      total=total,
      initial=done,
      desc=f"cache {teacher.name}",
      unit="clip",
      disable=None,
    ) as bar,
    stopping.held(),
  ):
    keeper = _Keeper(writer, total, size, bar)
    stops = False
    for i, batch in enumerate(_batches(config, split, size, done, total)):
      out = run(variables, sharding.put_batch(batch, mesh))
      pending.append((done + i * size, out))
      if len(pending) > 1:  # fetch a batch while the next one is computed
        keeper(*pending.pop(0))
      if stops := stopping.reached():
        break
    for first, out in pending:
      keeper(first, out)
    if stops:
      raise stopping.stopped(
        f"after {keeper.commit()} of {total} clips of "
        f"teacher {teacher.name}, kept in {folder}"
      )
  if writer is None:
    return {}
  seconds = time.monotonic() - began
  metrics = {
    "bytes_per_sequence": writer.row_bytes * config.cache.views,
    "seconds": seconds,
    "clips_per_second": (total - done) / seconds,
    **{key: value / total for key, value in keeper.sums.items()},
  }
  _report(folder, header, teacher, config.cache, done, total, metrics)
  return metrics


def _batches(
  config: Any, split: Any, size: int, done: int, total: int
) -> Iterator[dict[str, np.ndarray]]:
  """Yields what teachers take of the clips that are not done."""
  from data_pipelines import pipeline

  if done == total:
    return
  batches = pipeline.clip_batches(
    split,
    batch_size=size,
    clip=pipeline.Clip(**config.clip),
    augment=pipeline.Augment(**config.augment),
    seed=config.seed,
    clips_per_sequence=config.cache.views,
    start=done,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
  )
  keys = (*config_lib.MODALITIES, "lengths")
  for batch in batches:
    yield {key: batch[key] for key in keys if key in batch}


class _Keeper:
  """In the first process, fetches rows from the device and writes them.

  Attributes:
    sums: metrics, summed over the rows that are done.
    done: rows that are written, though not for good before `commit`.
  """

  def __init__(
    self, writer: cache_lib.Writer | None, total: int, size: int, bar: tqdm.tqdm
  ):
    self.sums = dict(writer.sums) if writer else {}
    self.done = writer.done if writer else 0
    self._writer, self._bar = writer, bar
    self._total, self._size = total, size

  def __call__(self, first: int, out: tuple[Arrays, Arrays]) -> None:
    """Keeps the rows from number `first` on, and what storing cost."""
    count = min(self._size, self._total - first)
    self._bar.update(count)
    self.done = first + count
    if self._writer is None:
      jax.block_until_ready(out)
      return
    rows, wrong = jax.device_get(out)
    self._writer.write(first, {key: x[:count] for key, x in rows.items()})
    for key, values in wrong.items():
      added = float(values[:count].sum(dtype=np.float64))
      self.sums[key] = self.sums.get(key, 0.0) + added
    last = self.done == self._total
    if last or (first // self._size + 1) % _BLOCK == 0:
      self.commit()

  def commit(self) -> int:
    """Has what was written kept for good; returns the rows that are done."""
    if self._writer is not None:
      self._writer.commit(self.done, self.sums)
    return self.done


def _report(
  folder: storage.Path,
  header: Mapping[str, Any],
  teacher: distill.Teacher,
  cache: Any,
  done: int,
  total: int,
  metrics: Mapping[str, float],
) -> None:
  """Prints what was filled, how large it is, and what storing cost."""
  print(
    f"{folder}: {total - done} of {total} clips ({cache.views} of each "
    f"sequence) in {metrics['seconds']:.1f} s, "
    f"{metrics['clips_per_second']:.1f} a second; "
    f"{metrics['bytes_per_sequence']} bytes a sequence"
  )
  if header["classes"]:
    kept = f"the {header['largest']} largest of" if header["largest"] else "all"
    print(
      f"{folder}: {kept} {header['classes']} logits in {cache.dtype}: at "
      f"temperature {float(teacher.temperature(0)):g} its probabilities are "
      f"off by {metrics['absolute']:.3g} on average, divergence "
      f"{metrics['divergence']:.3g}"
    )
  print(
    f"to train with it: --config.teachers.{teacher.name}.cache={folder}",
    flush=True,
  )
