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
_MULTIPLE = 128
# Matrices of distances in memory at once: that of a block, those it is computed
# from, and those of the block before.
_MATRICES = 4
# Copies of a block of the gallery: as it was read, padded, and on the device,
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
    probe: their embeddings on the device, `[k, p, d]`, padded with zeros.
    items: those of the gallery, `[m, p, d]`, split over the devices.
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
      items = self.put_gallery(self._gallery[gallery])
      for probes in chosen:
        probe = self.put_probes(self._probes[probes])
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

  def put_probes(self, x: np.ndarray, fill: int = 0) -> jax.Array:
    """Pads values of probes and puts them on all devices."""
    return jax.device_put(
      distances.filled_up(x, self.probe_rows, fill), self._whole
    )

  def put_gallery(self, x: np.ndarray, fill: int = 0) -> jax.Array:
    """Pads values of gallery items and splits them over the devices."""
    return jax.device_put(
      distances.filled_up(x, self.gallery_rows, fill), self._split
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
      in_specs=(PartitionSpec(), PartitionSpec(AXIS)),
      out_specs=split,
    )
  )


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
  k = min(_MOST_PROBES, _rounded_up(probes, _LEAST_PROBES))
  step = _MULTIPLE * devices
  while True:
    # Every device holds the probes, and so does the host.
    left = budget - (devices + 1) * k * values * itemsize
    item = _COPIES * values * itemsize + _MATRICES * 4 * k
    m = int(left // item) // step * step
    if m >= step:
      return k, min(m, _rounded_up(gallery, step))
    if k == _LEAST_PROBES:
      least = ((devices + 1) * k * values * itemsize + step * item) / _GIB
      raise errors.UserError(
        f"memory_gib is {memory_gib:g}, too little for a block of "
        f"distances; give at least {1.01 * least:.2g}"
      )
    k = max(k // 2, _LEAST_PROBES)


def _rounded_up(n: int, step: int) -> int:
  """Rounds up to one of few multiples of `step`, at most a quarter above `n`.

  Galleries of like sizes then share a program.
  """
  steps = max(-(-n // step), 1)
  coarse = 1 << max(steps.bit_length() - 3, 0)
  return -(-steps // coarse) * coarse * step
