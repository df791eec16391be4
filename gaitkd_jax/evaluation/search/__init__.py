"""Search: which items of a gallery of any size are nearest to each probe.

Distances are computed block by block under a budget of memory, each block of
the gallery split over the devices.
"""

from gaitkd_jax.evaluation.search.blocks import Block
from gaitkd_jax.evaluation.search.blocks import Blocks
from gaitkd_jax.evaluation.search.blocks import Rows
from gaitkd_jax.evaluation.search.neighbours import nearest
from gaitkd_jax.evaluation.search.verdict import Threshold
from gaitkd_jax.evaluation.search.verdict import Verdict
from gaitkd_jax.evaluation.search.verdict import decide
from gaitkd_jax.evaluation.search.verdict import threshold_at

__all__ = (
  "Block",
  "Blocks",
  "Rows",
  "Threshold",
  "Verdict",
  "decide",
  "nearest",
  "threshold_at",
)
