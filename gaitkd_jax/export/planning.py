"""From a network and its variables to its plan."""

from collections.abc import Mapping
from typing import Any

from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax.export import builder
from gaitkd_jax.export import networks
from gaitkd_jax.export import plan as plan_lib


def plan_of(
  module: models.GaitNetwork, variables: Mapping[str, Any]
) -> plan_lib.Plan:
  """The layers of a network in evaluation.

  Args:
    module: the network.
    variables: its own.

  Returns:
    The plan; its last layer makes what a search compares.

  Raises:
    errors.UserError: nobody has written down the layers of this network.
  """
  planner = networks.PLANNERS.get(type(module))
  if planner is None:
    known = ", ".join(kind.__name__ for kind in networks.PLANNERS)
    raise errors.UserError(
      f"{type(module).__name__} has no plan of layers for other runtimes; "
      f"these have: {known}. --target=stablehlo needs none"
    )
  build = builder.Builder(module, variables)
  planner(module, build)
  return build.finish()
