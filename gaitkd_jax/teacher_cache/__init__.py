"""What teachers say of every view of the training sequences, on disk.

A *store* is a folder that one teacher filled once (`--mode=cache`, see
`gaitkd_jax/precompute.py`): a row for each view of each sequence, read again
in training instead of running the teacher.
"""

from gaitkd_jax.teacher_cache.header import describe
from gaitkd_jax.teacher_cache.header import describe_data
from gaitkd_jax.teacher_cache.header import digest
from gaitkd_jax.teacher_cache.rows import decode
from gaitkd_jax.teacher_cache.rows import encode
from gaitkd_jax.teacher_cache.rows import error
from gaitkd_jax.teacher_cache.rows import outputs
from gaitkd_jax.teacher_cache.store import Store
from gaitkd_jax.teacher_cache.store import Writer
from gaitkd_jax.teacher_cache.store import attach
from gaitkd_jax.teacher_cache.store import look_up
from gaitkd_jax.teacher_cache.store import open_stores

__all__ = [
  "Store",
  "Writer",
  "attach",
  "decode",
  "describe",
  "describe_data",
  "digest",
  "encode",
  "error",
  "look_up",
  "open_stores",
  "outputs",
]
