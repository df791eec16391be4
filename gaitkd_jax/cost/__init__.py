"""What a network costs: parameters, products, memory, and its reach in time.

All but `receptive_field` is read from the traced program; nothing is compiled.
"""

from gaitkd_jax.cost.memory import forward_memory
from gaitkd_jax.cost.memory import saved_memory
from gaitkd_jax.cost.parts import Part
from gaitkd_jax.cost.parts import abstract_parameters
from gaitkd_jax.cost.parts import gmac_per_frame
from gaitkd_jax.cost.parts import inference_parameters
from gaitkd_jax.cost.parts import output_shapes
from gaitkd_jax.cost.parts import parameters
from gaitkd_jax.cost.parts import parts
from gaitkd_jax.cost.parts import retrieval_parameters
from gaitkd_jax.cost.program import multiply_accumulates
from gaitkd_jax.cost.reach import receptive_field

__all__ = [
  "Part",
  "abstract_parameters",
  "forward_memory",
  "gmac_per_frame",
  "inference_parameters",
  "multiply_accumulates",
  "output_shapes",
  "parameters",
  "parts",
  "receptive_field",
  "retrieval_parameters",
  "saved_memory",
]
