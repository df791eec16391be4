"""One axis, "data", over all devices: replicated state, split batches.

Under `jax.jit` with these shardings a batch is one global array, so batch
statistics and triplets are those of the global batch, whatever the number of
devices or processes.
"""

from collections.abc import Mapping
from collections.abc import Sequence

import jax
from jax.sharding import AxisType
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec
import numpy as np


def create_mesh(num_devices: int | None = None) -> Mesh:
  """Makes a mesh of the first `num_devices` devices; None: of all."""
  return mesh_of(jax.devices()[:num_devices])


def mesh_of(devices: Sequence[jax.Device]) -> Mesh:
  """Makes a mesh of these devices, which need not be attached."""
  # With explicit axes, the default, JAX refuses the losses' pairwise distances.
  return jax.make_mesh(
    (len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=devices
  )


def replicated(mesh: Mesh) -> NamedSharding:
  """Returns the sharding with which every device holds the whole array."""
  return NamedSharding(mesh, PartitionSpec())


def by_sequence(mesh: Mesh) -> NamedSharding:
  """Returns the sharding that splits the leading axis over the devices."""
  return NamedSharding(mesh, PartitionSpec("data"))


def put_batch(
  batch: Mapping[str, np.ndarray], mesh: Mesh
) -> dict[str, jax.Array]:
  """Makes global arrays out of the processes' shares of a batch."""
  sharding = by_sequence(mesh)
  return {
    key: jax.make_array_from_process_local_data(sharding, value)
    for key, value in batch.items()
  }
