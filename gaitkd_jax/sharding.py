"""One axis, "data", over all devices: replicated state, split batches.

The classes of a large classifier are split over the same axis (`placement`).

Under `jax.jit` with these shardings a batch is one global array, so batch
statistics and triplets are those of the global batch, whatever the number of
devices or processes.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import os

import jax
from jax.sharding import AxisType
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec
import numpy as np

# libtpu asks the environment, then the machine, what TPU it is on, and says so
# on standard error if neither knows. Where there is none, any answers do; and
# several processes may use it at once, which it forbids for the sake of a TPU.
NO_TPU = dict(
  ALLOW_MULTIPLE_LIBTPU_LOAD="1",
  TPU_SKIP_MDS_QUERY="1",
  TPU_ACCELERATOR_TYPE="v5litepod-8",
  TPU_WORKER_HOSTNAMES="localhost",
  TPU_WORKER_ID="0",
)


def spare_tpu() -> None:
  """Says so, where JAX has found out that there is no TPU."""
  # It sets this when it is imported, and tries libtpu all the same where that
  # is installed.
  if os.environ.get("TPU_SKIP_MDS_QUERY") == "1":
    for name, value in NO_TPU.items():
      os.environ.setdefault(name, value)


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


def by_axis(mesh: Mesh, axis: int) -> NamedSharding:
  """Returns the sharding that splits this axis over the devices."""
  return NamedSharding(mesh, PartitionSpec(*[None] * axis, "data"))


def put_batch(
  batch: Mapping[str, np.ndarray], mesh: Mesh
) -> dict[str, jax.Array]:
  """Makes global arrays out of the processes' shares of a batch."""
  sharding = by_sequence(mesh)
  return {
    key: jax.make_array_from_process_local_data(sharding, value)
    for key, value in batch.items()
  }
