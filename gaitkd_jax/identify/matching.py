"""Who somebody is, of those who are known, or that it is nobody of them."""

from collections.abc import Sequence
import dataclasses
import os

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax.identify import distances
from gaitkd_jax.identify import gallery as gallery_lib
from gaitkd_jax.identify import threshold as threshold_lib
from gaitkd_jax.identify.track import Track

NO_THRESHOLD = "nearest of the gallery; no threshold"


@dataclasses.dataclass(frozen=True)
class Near:
  """One person of the gallery, as seen from a track.

  Attributes:
    person: the name.
    distance: of the nearest of their sequences.
    row: of that sequence in the gallery.
  """

  person: str
  distance: float
  row: int


@dataclasses.dataclass(frozen=True)
class Match:
  """What is said of a track.

  Attributes:
    identity: a name; None: a stranger, or nothing can be said.
    distance: of the nearest person; None: the track was not embedded.
    nearest: all people of the gallery, the nearest first.
    reason: why, in one line.
  """

  identity: str | None
  distance: float | None
  nearest: tuple[Near, ...]
  reason: str


def match(
  embeddings: np.ndarray,
  gallery: gallery_lib.Gallery | str | os.PathLike[str],
  threshold: threshold_lib.Threshold | float | None = None,
) -> list[Match]:
  """Names sequences, each by itself.

  Without a threshold nobody is named: the nearest of a gallery is no reason to
  take somebody for them. It is told all the same.

  Args:
    embeddings: float32 `[n, p, d]`.
    gallery: who is known, or the path of a store.
    threshold: the distance up to which somebody is named.

  Returns:
    n matches.

  Raises:
    errors.UserError: the gallery or the threshold cannot be used.
  """
  if not isinstance(gallery, gallery_lib.Gallery):
    gallery = gallery_lib.read_store(gallery)
  if isinstance(threshold, (int, float)):
    threshold = threshold_lib.given(threshold)
  if embeddings.shape[1:] != gallery.embeddings.shape[1:]:
    raise errors.UserError(
      f"embeddings are {list(embeddings.shape[1:])}, those of {gallery.path} "
      f"{list(gallery.embeddings.shape[1:])}; use one network for both"
    )
  if not np.isfinite(embeddings).all():
    raise errors.UserError(
      "embeddings are not finite; the network or its checkpoint is broken"
    )
  distance = distances.between(embeddings, gallery.embeddings, gallery.metric)
  return [_decide(_nearest(row, gallery.people), threshold) for row in distance]


def _nearest(distance: np.ndarray, people: Sequence[str]) -> tuple[Near, ...]:
  found: dict[str, Near] = {}
  for row in np.argsort(distance, kind="stable"):
    person = people[row]
    found.setdefault(person, Near(person, float(distance[row]), int(row)))
  return tuple(found.values())


def _decide(
  nearest: tuple[Near, ...], threshold: threshold_lib.Threshold | None
) -> Match:
  first = nearest[0]
  if threshold is None:
    return Match(None, first.distance, nearest, NO_THRESHOLD)
  limit = f"the threshold {threshold.distance:.4g}"
  where = f"{first.person} is the nearest, at {first.distance:.4g}"
  if first.distance <= threshold.distance:
    reason = f"{where}, within {limit}"
    return Match(first.person, first.distance, nearest, reason)
  reason = f"nobody of the gallery: {where}, beyond {limit}"
  return Match(None, first.distance, nearest, reason)


def match_tracks(
  tracks: Sequence[Track],
  embeddings: np.ndarray,
  gallery: gallery_lib.Gallery,
  threshold: threshold_lib.Threshold | None,
) -> list[Match]:
  """Names the tracks of a video.

  Nobody is in two places: of two tracks that are seen in one frame, only the
  nearer one gets a name.

  Args:
    tracks: all of them.
    embeddings: of those with frames that may be used, in their order.
    gallery: who is known.
    threshold: see `match`.
  """
  found = iter(match(embeddings, gallery, threshold))
  matches = [
    next(found)
    if track.frames_used
    else Match(None, None, (), track.rejected or "no frame may be used")
    for track in tracks
  ]
  order = sorted(
    (i for i, one in enumerate(matches) if one.identity is not None),
    key=lambda i: matches[i].distance,
  )
  named: list[int] = []
  for i in order:
    rival = next(
      (
        k
        for k in named
        if matches[k].identity == matches[i].identity
        and np.intersect1d(tracks[k].frames, tracks[i].frames).size
      ),
      None,
    )
    if rival is None:
      named.append(i)
      continue
    reason = (
      f"{matches[i].reason}, but so is track {tracks[rival].id}, which is "
      "nearer and in the same frames; nobody is in two places"
    )
    matches[i] = dataclasses.replace(matches[i], identity=None, reason=reason)
  return matches
