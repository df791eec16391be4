"""Teachers' outputs for clips of the training sequences, on disk.

A *store* is a folder that one teacher filled once (`--mode=cache`, see
`distill/cache/precompute.py`): a row for each of a number of clips of each
sequence, which training reads instead of running the teacher.
"""

from gaitkd_jax.distill.cache.header import describe
from gaitkd_jax.distill.cache.header import describe_data
from gaitkd_jax.distill.cache.rows import batch_key
from gaitkd_jax.distill.cache.rows import decode
from gaitkd_jax.distill.cache.rows import encode
from gaitkd_jax.distill.cache.rows import error
from gaitkd_jax.distill.cache.rows import outputs
from gaitkd_jax.distill.cache.store import Store
from gaitkd_jax.distill.cache.store import Writer
from gaitkd_jax.distill.cache.store import attach
from gaitkd_jax.distill.cache.store import look_up
from gaitkd_jax.distill.cache.store import open_stores

__all__ = [
  "Store",
  "Writer",
  "attach",
  "batch_key",
  "decode",
  "describe",
  "describe_data",
  "encode",
  "error",
  "look_up",
  "open_stores",
  "outputs",
]
