"""Search: which items of a gallery of any size are nearest to each probe.

Distances are computed block by block under a budget of memory, each block of
the gallery split over the devices.
"""

from gaitkd_jax.evaluation.search.blocks import Block
from gaitkd_jax.evaluation.search.blocks import Blocks
from gaitkd_jax.evaluation.search.blocks import Rows
from gaitkd_jax.evaluation.search.neighbours import nearest

__all__ = ("Block", "Blocks", "Rows", "nearest")
