"""Distances between part embeddings, by numpy alone.

They are those of `gaitkd_jax/evaluation/distances.py`, which JAX computes for
larger sets.
"""

import numpy as np

METRICS = ("euclidean", "cosine")


def between(
  probe: np.ndarray, gallery: np.ndarray, metric: str = "euclidean"
) -> np.ndarray:
  """The mean over parts of the distance between every two sequences.

  Args:
    probe: `[a, p, d]`.
    gallery: `[b, p, d]`.
    metric: "euclidean" or "cosine" (1 minus the cosine).

  Returns:
    float32 `[a, b]`.

  Raises:
    ValueError: the metric is unknown.
  """
  if metric not in METRICS:
    raise ValueError(f"metric is {metric!r}; give one of {', '.join(METRICS)}")
  total = np.zeros((len(probe), len(gallery)))
  for part in range(probe.shape[1]):
    x = probe[:, part].astype(np.float64)
    y = gallery[:, part].astype(np.float64)
    if metric == "cosine":
      x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
      y = y / np.maximum(np.linalg.norm(y, axis=1, keepdims=True), 1e-12)
      total += 1 - x @ y.T
    else:
      square = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
      total += np.sqrt(np.maximum(square, 0))
  return (total / probe.shape[1]).astype(np.float32)
