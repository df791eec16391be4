"""The first steps of a network's quantisers, from batches of data."""

from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

from flax import traverse_util
import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from gaitkd_jax import models
from gaitkd_jax import quantize
from gaitkd_jax import sharding
from gaitkd_jax.models import heads
from gaitkd_jax.models import inputs

# Names of the collection and of the array in which a quantiser notes its step.
_COLLECTION = "observed"
_ARRAY = "step_size"


def observe(
  module: models.GaitNetwork,
  variables: Mapping[str, Any],
  batches: Iterable[Mapping[str, jax.Array]],
  mesh: Mesh,
) -> dict[str, Any]:
  """What steps the weights of a network, and its values on data, ask for.

  The network computes in float meanwhile, and in evaluation mode.

  Args:
    module: a quantised network.
    variables: its own, steps of any values included.
    batches: of the data, on the mesh; see `step.make_train_step`.
    mesh: devices of the data axis.

  Returns:
    Float32 steps by quantiser, as a tree of the network's modules: the mean
    over batches.
  """

  def noted(
    variables: Mapping[str, Any], batch: Mapping[str, jax.Array]
  ) -> dict[str, Any]:
    with quantize.observing():
      _, found = module.apply(
        variables,
        inputs.network_input(batch, module.in_channels),
        batch.get("lengths"),
        mutable=[_COLLECTION],
      )
    flat = traverse_util.flatten_dict(found[_COLLECTION])
    return traverse_util.unflatten_dict(
      {path: values[0] for path, values in flat.items()}
    )

  program = jax.jit(noted, out_shardings=sharding.replicated(mesh))
  found = [program(variables, batch) for batch in batches]
  return jax.tree.map(lambda *steps: sum(steps) / len(steps), *found)


def soft_gap(
  module: models.GaitNetwork,
  variables: Mapping[str, Any],
  batch: Mapping[str, jax.Array],
  phase: quantize.Phase,
) -> jax.Array:
  """How far soft rounding in the forward pass is from the hard one.

  Args:
    module: a quantised network whose `forward` is "soft".
    variables: its own.
    batch: of the data.
    phase: of the training.

  Returns:
    A scalar: 1 minus the mean cosine between the embeddings of the two.
  """
  x, lengths = (
    inputs.network_input(batch, module.in_channels),
    batch.get("lengths"),
  )
  hard = module.apply(variables, x, lengths)["retrieval"]
  with quantize.phase(phase):
    soft = module.apply(variables, x, lengths)["retrieval"]
  products = jnp.sum(
    heads.unit_length(hard, -1) * heads.unit_length(soft, -1), -1
  )
  return 1.0 - jnp.mean(products)


def with_steps(
  variables: Mapping[str, Any], steps: Mapping[str, Any]
) -> dict[str, Any]:
  """Variables whose quantisers have these steps, where they keep one.

  Args:
    variables: of a quantised network.
    steps: see `observe`.
  """
  new = {}
  flat = traverse_util.flatten_dict(steps)
  for collection, tree in variables.items():
    arrays = traverse_util.flatten_dict(tree)
    arrays |= {path: step for path, step in flat.items() if path in arrays}
    new[collection] = traverse_util.unflatten_dict(arrays)
  return new
