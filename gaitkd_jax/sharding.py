"""One `data` axis over all devices: state replicated, batches split.

Under `jax.jit` with these shardings a batch is one global array, so batch
statistics and triplets range over the global batch, whatever the number of
devices or processes.
"""

from collections.abc import Mapping

import jax
from jax.sharding import AxisType
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec
import numpy as np


def create_mesh(num_devices: int | None = None) -> Mesh:
  """A mesh of the first `num_devices` devices (all if None), axis "data"."""
  devices = jax.devices()[:num_devices]
  # Explicit axes, the default, refuse the all-pairs distances of the losses.
  return jax.make_mesh(
    (len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=devices
  )


def replicated(mesh: Mesh) -> NamedSharding:
  """Every device holds the whole array."""
  return NamedSharding(mesh, PartitionSpec())


def by_sequence(mesh: Mesh) -> NamedSharding:
  """The leading axis is split over the devices."""
  return NamedSharding(mesh, PartitionSpec("data"))


def put_batch(
  batch: Mapping[str, np.ndarray], mesh: Mesh
) -> dict[str, jax.Array]:
  """Makes global arrays of this process's share of a batch."""
  sharding = by_sequence(mesh)
  return {
    key: jax.make_array_from_process_local_data(sharding, value)
    for key, value in batch.items()
  }
