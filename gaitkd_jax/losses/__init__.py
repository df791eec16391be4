"""Losses on part embeddings `[n, p, d]` and part logits `[n, p, k]`.

Pure functions: float32 inside, a scalar float32 out (the mean over parts).
"""

from gaitkd_jax.losses.boundary import boundary_loss
from gaitkd_jax.losses.cross_entropy import cross_entropy_loss
from gaitkd_jax.losses.cross_entropy import part_accuracy
from gaitkd_jax.losses.decision import decision_loss
from gaitkd_jax.losses.triplet import triplet_loss
from gaitkd_jax.losses.triplet import triplet_parts

__all__ = [
  "boundary_loss",
  "cross_entropy_loss",
  "decision_loss",
  "part_accuracy",
  "triplet_loss",
  "triplet_parts",
]
