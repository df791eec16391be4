"""The distance up to which a track is given a name, and where it comes from.

It is that of verification at a rate of false accepts (FAR, ISO/IEC 19795-1):
the longest distance at which no more than that share of the pairs of two
different people are taken for one. A search compares a stranger with everybody,
so among n people up to n times as many strangers are named.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import math
from typing import Any

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax.identify import distances

# The rate of a store that has a calibration, if none is asked for.
DEFAULT_RATE = 0.01
# Distances that are kept of a calibration: the shortest ones.
_KEPT = 20_000


@dataclasses.dataclass(frozen=True)
class Threshold:
  """A threshold and its origin.

  Attributes:
    distance: up to which a track is named.
    rate: of false accepts that was asked for; None: the distance was given.
    pairs: of two different people, by which it was found; 0: none.
    origin: in one line.
  """

  distance: float
  rate: float | None
  pairs: int
  origin: str

  def to_json(self) -> dict[str, Any]:
    """For a JSON file."""
    return dataclasses.asdict(self)


def check(threshold: float | None, far: float | None) -> None:
  """Raises a UserError for values that are none."""
  if threshold is not None and far is not None:
    raise errors.UserError(
      "--threshold and --far are both given, and either sets the threshold; "
      "give one"
    )
  if threshold is not None and not 0 <= threshold < math.inf:
    raise errors.UserError(
      f"--threshold is {threshold}; give a distance, 0 or more"
    )
  if far is not None and not 0 < far < 1:
    raise errors.UserError(
      f"--far is {far}; give a rate between 0 and 1, such as 0.01"
    )


def given(distance: float) -> Threshold:
  """A threshold that the user gives."""
  check(distance, None)
  return Threshold(float(distance), None, 0, "given by the user")


def measure(
  embeddings: np.ndarray, people: Sequence[str], metric: str, origin: str
) -> dict[str, Any]:
  """Compares all pairs of sequences: a verification run.

  Args:
    embeddings: float32 `[n, p, d]`.
    people: who walks in each, n names.
    metric: "euclidean" or "cosine".
    origin: what the sequences are, in a few words.

  Returns:
    JSON: a calibration, as `at` takes it. Of more than 20,000 distances the
    shortest are kept.

  Raises:
    errors.UserError: there are no two people.
  """
  if len(set(people)) < 2:
    raise errors.UserError(
      f"{origin}: there is {len(set(people))} person, and a threshold is found "
      "among two or more; give more people, or --threshold"
    )
  distance = distances.between(embeddings, embeddings, metric)
  one, other = np.triu_indices(len(embeddings), 1)
  names = np.asarray(people)
  same = names[one] == names[other]
  pairs = distance[one, other]
  strangers, own = np.sort(pairs[~same]), np.sort(pairs[same])
  return {
    "origin": origin,
    "metric": metric,
    "people": len(set(people)),
    "sequences": len(embeddings),
    "pairs": len(strangers),
    "same_pairs": len(own),
    # More digits than float32 has, so that what is read is what was measured.
    "strangers": [float(f"{x:.9g}") for x in strangers[:_KEPT].tolist()],
    "same": [float(f"{x:.9g}") for x in own[:_KEPT].tolist()],
  }


def at(rate: float, calibration: Mapping[str, Any]) -> Threshold:
  """The threshold of a rate of false accepts.

  Args:
    rate: in (0, 1).
    calibration: of `measure`.

  Raises:
    errors.UserError: there are too few pairs for that rate.
  """
  check(None, rate)
  count, origin = int(calibration["pairs"]), str(calibration["origin"])
  strangers = np.asarray(calibration["strangers"], np.float64)
  # 0.07 * 100 is a little more than 7, and 0.29 * 100 a little less than 29.
  allowed = math.floor(rate * count * (1 + 1e-9))
  if not allowed:
    raise errors.UserError(
      f"--far={rate:g} takes {math.ceil((1 - 1e-9) / rate)} pairs of different "
      f"people, and there are {count} ({origin}); give a higher rate, more "
      "people (--calibrate), or --threshold"
    )
  if allowed >= len(strangers):
    raise errors.UserError(
      f"--far={rate:g} lies beyond the {len(strangers)} shortest distances "
      f"that are kept of {count} pairs ({origin}); give a lower rate"
    )
  # The next pair is not accepted, even if it is as far apart.
  accepted = int(np.searchsorted(strangers, strangers[allowed]))
  if not accepted:
    raise errors.UserError(
      f"no threshold keeps --far={rate:g}: {allowed + 1} or more pairs of "
      f"different people are equally near ({origin}); is one person there "
      "under two names?"
    )
  limit = float(strangers[accepted - 1])
  named = int(np.searchsorted(calibration["same"], limit, side="right"))
  return Threshold(
    limit,
    rate,
    count,
    f"{accepted} of {count} pairs of different people lie at or below it "
    f"({accepted / count:.2%}, asked for: {rate:.4g}), and {named} of "
    f"{calibration['same_pairs']} pairs of one person; {origin}",
  )


def of_network(rate: float, known: Mapping[str, Any]) -> Threshold:
  """That of an exported file's metadata; see docs/export.md.

  Raises:
    errors.UserError: it is of another rate.
  """
  if not math.isclose(rate, known["false_accept_rate"]):
    raise errors.UserError(
      f"--far={rate:g}: the exported network knows the threshold of "
      f"{known['false_accept_rate']:g} alone, and the gallery has no "
      "calibration; give that rate, --threshold, or a store that was enrolled "
      "with --calibrate"
    )
  return Threshold(
    float(known["distance"]),
    rate,
    int(known["strangers"]),
    f"{known['accepted']} of {known['strangers']} pairs of different people "
    f"lie at or below it, and {known['named']} of {known['same']} pairs of one "
    f"person; metadata of the exported network, {known['sequences']} sequences "
    f"of {known['data']}, not of this camera",
  )
