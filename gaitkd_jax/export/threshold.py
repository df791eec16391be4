"""A threshold of the distance, for whoever asks if two walks are one person's.

It is that of verification at a false accept rate of 1 % (ISO/IEC 19795-1), over
all pairs of a few sequences: a start, to be measured anew with one's own
cameras.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gaitkd_jax.evaluation import distances

RATE = 0.01


def find(
  embeddings: np.ndarray, subjects: Sequence[str], metric: str, data: str
) -> dict[str, Any] | None:
  """The largest distance at which at most 1 % of strangers are taken for one.

  Args:
    embeddings: `[n, p, d]`.
    subjects: who walks in each of the n sequences.
    metric: of `distances.METRICS`.
    data: name of the data set.

  Returns:
    JSON: "distance", "metric", "false_accept_rate" (asked for), "strangers"
    (pairs of two people), "accepted" (of these, at or below it), "same" (pairs
    of one person), "named" (of these, at or below it), "data" and "sequences".
    None with fewer pairs of strangers than the rate takes.
  """
  distance = distances.part_distances(embeddings, embeddings, metric)
  one, other = np.triu_indices(len(embeddings), 1)
  names = np.asarray(subjects)
  same = names[one] == names[other]
  of_pairs = distance[one, other]
  strangers, own = np.sort(of_pairs[~same]), of_pairs[same]
  allowed = int(RATE * len(strangers))
  if not allowed:
    return None
  # The next pair of strangers is not accepted, even if it is as far apart.
  below = strangers[strangers < strangers[allowed]]
  if not len(below):
    return None
  limit = below[-1]
  return {
    "distance": float(limit),
    "metric": metric,
    "false_accept_rate": RATE,
    "strangers": len(strangers),
    "accepted": len(below),
    "same": len(own),
    "named": int((own <= limit).sum()),
    "data": data,
    "sequences": len(embeddings),
  }
