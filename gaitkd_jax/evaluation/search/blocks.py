"""Distances of probes and gallery in blocks that fit a budget of memory."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import functools
from typing import Any

import jax
from jax.sharding import AxisType
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec
import numpy as np

from gaitkd_jax import errors
from gaitkd_jax.evaluation import distances

AXIS = "gallery"
_GIB = 2**30
# A block of more probes would not be computed faster.
_MOST_PROBES = 512
_LEAST_PROBES = 8
# Probes and gallery items of a block are multiples of these.
_PROBES, _ITEMS = 16, 128
# Below it, float32 counts the items of a block exactly.
_MOST_ITEMS = 1 << 24
# Matrices of distances in memory at once: that of a block, those it is computed
# from, and those of the block before.
_MATRICES = 4
# Copies of a block of the gallery: as it was read, by part, and on the device,
# where the block before may still be.
_COPIES = 4


@dataclasses.dataclass(frozen=True)
class Rows:
  """A selection of rows of embeddings, which can be sliced like an array.

  Attributes:
    embeddings: `[n, p, d]`.
    rows: int `[m]`.
  """

  embeddings: Any
  rows: np.ndarray

  @property
  def shape(self) -> tuple[int, ...]:
    """`[m, p, d]`."""
    return (len(self.rows), *self.embeddings.shape[1:])

  @property
  def dtype(self) -> np.dtype:
    """The dtype of the embeddings."""
    return self.embeddings.dtype

  def __len__(self) -> int:
    return len(self.rows)

  def __getitem__(self, part: slice) -> np.ndarray:
    return self.embeddings[self.rows[part]]


@dataclasses.dataclass(frozen=True)
class Block:
  """The distances of some probes to some of the gallery.

  Attributes:
    probes: rows of the probes.
    gallery: rows of the gallery.
    probe: their embeddings on the device, `[p, k, d]`, padded with zeros.
    items: those of the gallery, `[p, m, d]`, split over the devices along m.
  """

  probes: slice
  gallery: slice
  probe: jax.Array
  items: jax.Array


class Blocks:
  """All pairs of probes and gallery, block by block.

  The probes, blocks of the gallery and distances that are in memory at once
  take no more than the budget, all devices together; programs, and what is made
  of the distances, come on top. All blocks have one shape.

  Attributes:
    probe_rows: probes of a block.
    gallery_rows: gallery items of a block.
    mesh: the devices over which a block of the gallery is split.
  """

  def __init__(
    self,
    probes: Any,
    gallery: Any,
    metric: str,
    memory_gib: float = 1.0,
    devices: Sequence[jax.Device] | None = None,
  ):
    """Plans the blocks.

    Args:
      probes: `[a, p, d]`, float16 or float32: an array, or what has a length, a
        shape, a dtype and slices.
      gallery: `[b, p, d]`, likewise.
      metric: of `distances.METRICS`.
      memory_gib: the budget, in GiB.
      devices: by default those of this process.

    Raises:
      errors.UserError: the budget is too small for any block, or no number.
      ValueError: unknown metric, or other shapes.
    """
    distances.check_metric(metric)
    if tuple(probes.shape[1:]) != tuple(gallery.shape[1:]):
      raise ValueError(
        f"probes are {list(probes.shape)} and the gallery is "
        f"{list(gallery.shape)}; give both the same parts and channels"
      )
    devices = list(devices or jax.local_devices())
    self._probes, self._gallery = probes, gallery
    self._distances = _make_distances(mesh_of(tuple(devices)), metric)
    self.mesh = mesh_of(tuple(devices))
    self.metric = metric
    self.probe_rows, self.gallery_rows = _plan(
      len(probes),
      len(gallery),
      int(np.prod(probes.shape[1:])),
      max(np.dtype(x.dtype).itemsize for x in (probes, gallery)),
      memory_gib,
      len(devices),
    )
    self._split = NamedSharding(self.mesh, PartitionSpec(AXIS))
    self._split_parts = NamedSharding(self.mesh, PartitionSpec(None, AXIS))
    self._whole = NamedSharding(self.mesh, PartitionSpec())

  @property
  def probe_slices(self) -> list[slice]:
    """The blocks of the probes."""
    return _slices(len(self._probes), self.probe_rows)

  @property
  def gallery_slices(self) -> list[slice]:
    """The blocks of the gallery."""
    return _slices(len(self._gallery), self.gallery_rows)

  def __iter__(self) -> Iterator[Block]:
    return self.where(lambda probes, gallery: True)

  def where(self, wanted: Callable[[slice, slice], bool]) -> Iterator[Block]:
    """Yields the blocks that are wanted; the gallery is read once, in order."""
    for gallery in self.gallery_slices:
      chosen = [p for p in self.probe_slices if wanted(p, gallery)]
      if not chosen:
        continue
      items = jax.device_put(
        distances.by_part(self._gallery, self.gallery_rows, gallery),
        self._split_parts,
      )
      for probes in chosen:
        probe = jax.device_put(
          distances.by_part(self._probes, self.probe_rows, probes), self._whole
        )
        yield Block(probes, gallery, probe, items)

  def distances(self, block: Block) -> jax.Array:
    """float32 `[k, m]`, split along m; padding has meaningless values.

    The same bits whenever a block is computed.
    """
    return self._distances(block.probe, block.items)

  def distances_on_host(self, block: Block) -> np.ndarray:
    """float32 `[k, m]`, without padding."""
    p, g = block.probes, block.gallery
    distance = np.asarray(self.distances(block))
    return distance[: p.stop - p.start, : g.stop - g.start]

  def put_probes(self, labels: np.ndarray, fill: int) -> jax.Array:
    """Pads labels of probes, `[n, ...]`, and puts them on all devices."""
    return jax.device_put(
      _filled_up(labels, self.probe_rows, fill), self._whole
    )

  def put_gallery(self, labels: np.ndarray, fill: int) -> jax.Array:
    """Pads labels of gallery items and splits them over the devices."""
    return jax.device_put(
      _filled_up(labels, self.gallery_rows, fill), self._split
    )


@functools.cache
def mesh_of(devices: tuple[jax.Device, ...]) -> Mesh:
  """A mesh with the one axis over which a gallery is split."""
  return jax.make_mesh(
    (len(devices),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices
  )


@functools.cache
def _make_distances(
  mesh: Mesh, metric: str
) -> Callable[[jax.Array, jax.Array], jax.Array]:
  """Returns the function from probes and items to their distances."""
  split = PartitionSpec(None, AXIS)
  return jax.jit(
    jax.shard_map(
      functools.partial(distances.matrix, metric=metric),
      mesh=mesh,
      in_specs=(PartitionSpec(), split),
      out_specs=split,
    )
  )


def _filled_up(labels: np.ndarray, rows: int, fill: int) -> np.ndarray:
  """A copy with rows of `fill` appended."""
  # Always a copy: a device may go on using the host's memory.
  result = np.full((rows, *labels.shape[1:]), fill, labels.dtype)
  result[: len(labels)] = labels
  return result


def _slices(total: int, size: int) -> list[slice]:
  return [slice(i, min(i + size, total)) for i in range(0, total, size)]


def _plan(
  probes: int,
  gallery: int,
  values: int,
  itemsize: int,
  memory_gib: float,
  devices: int,
) -> tuple[int, int]:
  """Probes and gallery items of a block.

  Args:
    probes: of the whole search.
    gallery: of the whole search.
    values: p * d.
    itemsize: bytes of a value.
    memory_gib: the budget.
    devices: a block of the gallery is a multiple of them.
  """
  if not memory_gib > 0:
    raise errors.UserError(
      f"memory_gib is {memory_gib}; give a positive number"
    )
  budget = memory_gib * _GIB
  k = _evenly(probes, _MOST_PROBES, _PROBES)
  step = _ITEMS * devices
  while True:
    # Every device holds the probes, and so does the host.
    left = budget - (devices + 1) * k * values * itemsize
    item = _COPIES * values * itemsize + _MATRICES * 4 * k
    m = int(left // item) // step * step
    if m >= step:
      return k, _evenly(gallery, min(m, _MOST_ITEMS // step * step), step)
    if k == _LEAST_PROBES:
      least = ((devices + 1) * k * values * itemsize + step * item) / _GIB
      raise errors.UserError(
        f"memory_gib is {memory_gib:g}, too little for a block of "
        f"distances; give at least {1.01 * least:.2g}"
      )
    k = max(k // 2, _LEAST_PROBES)


def _evenly(total: int, most: int, step: int) -> int:
  """The size of blocks that are filled alike.

  Args:
    total: what is cut into as few blocks as can be.
    most: of a block, a multiple of `step`.
    step: blocks are one of few multiples of it, at most an eighth larger than
      they need be: sets of like sizes then share a program.
  """
  blocks = max(-(-total // most), 1)
  steps = max(-(-total // (blocks * step)), 1)
  coarse = 1 << max(steps.bit_length() - 4, 0)
  return min(-(-steps // coarse) * coarse * step, most)
