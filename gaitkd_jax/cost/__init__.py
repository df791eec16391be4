"""What a network costs: parameters, products and memory; what it sees in time.

Everything but `receptive_field` is read from the traced program, and nothing is
compiled for it. What needs a compiled program is in modules of its own: `ahead`
compiles for accelerators that are not here, `devices` is the table of them,
`traffic` reads a compiled program, `roofline` says how long it takes at least.
"""

from gaitkd_jax.cost.deployed import Deployed
from gaitkd_jax.cost.deployed import Stored
from gaitkd_jax.cost.deployed import deployed
from gaitkd_jax.cost.memory import forward_memory
from gaitkd_jax.cost.memory import saved_memory
from gaitkd_jax.cost.modules import ModuleCost
from gaitkd_jax.cost.modules import abstract_parameters
from gaitkd_jax.cost.modules import gmac_per_frame
from gaitkd_jax.cost.modules import inference_parameters
from gaitkd_jax.cost.modules import module_costs
from gaitkd_jax.cost.modules import output_shapes
from gaitkd_jax.cost.modules import parameters
from gaitkd_jax.cost.modules import retrieval_parameters
from gaitkd_jax.cost.program import multiply_accumulates
from gaitkd_jax.cost.receptive_field import receptive_field

__all__ = [
  "Deployed",
  "ModuleCost",
  "Stored",
  "abstract_parameters",
  "deployed",
  "forward_memory",
  "gmac_per_frame",
  "inference_parameters",
  "module_costs",
  "multiply_accumulates",
  "output_shapes",
  "parameters",
  "receptive_field",
  "retrieval_parameters",
  "saved_memory",
]
