"""What an identification found, and its JSON."""

from collections.abc import Mapping
import dataclasses
import os
from typing import Any

import numpy as np

from gaitkd_jax.identify import embedding
from gaitkd_jax.identify import gallery as gallery_lib
from gaitkd_jax.identify import matching
from gaitkd_jax.identify import threshold as threshold_lib
from gaitkd_jax.identify.track import Track

_NEAREST = 5  # people of the gallery that are named with a track


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
  """All that is known at the end.

  Attributes:
    source: path of the video or folder.
    tracks: of the people.
    matches: as many.
    gallery: who was searched among.
    network: that embedded.
    threshold: of the distance; None: nobody is named.
    video: "frames", "fps", "width", "height"; empty of silhouettes.
    warnings: each in one line.
    seconds: by stage.
  """

  source: str
  tracks: tuple[Track, ...]
  matches: tuple[matching.Match, ...]
  gallery: gallery_lib.Gallery
  network: embedding.Network
  threshold: threshold_lib.Threshold | None
  video: Mapping[str, float]
  warnings: tuple[str, ...]
  seconds: Mapping[str, float]

  @property
  def said_of_threshold(self) -> str:
    """The threshold in one line."""
    if self.threshold is None:
      return matching.NO_THRESHOLD
    return f"{self.threshold.distance:.4g}: {self.threshold.origin}"

  def lines(self) -> list[str]:
    """A line for each track."""
    lines = []
    for track, match in zip(self.tracks, self.matches, strict=True):
      who = match.identity or "nobody"
      if match.reason == matching.NO_THRESHOLD:
        first = match.nearest[0]
        who = f"{first.person}, at {first.distance:.4g}"
      elif match.distance is None:
        who = "not judged"
      lines.append(
        f"track {track.id}, frames {track.first_frame} to {track.last_frame}, "
        f"{track.frames_used} used: {who} ({match.reason})"
      )
    return lines or ["nobody walks in it"]

  def to_json(self) -> dict[str, Any]:
    """The content of result.json."""
    return {
      "tracks": [
        _track(track, match)
        for track, match in zip(self.tracks, self.matches, strict=True)
      ],
      "input": self.source,
      "video": dict(self.video),
      "model": {
        "path": self.network.path,
        "digest": self.network.digests[0],
        "metric": self.network.metric,
      },
      "gallery": {
        "path": os.fspath(self.gallery.path),
        "people": list(self.gallery.names),
        "sequences": len(self.gallery.people),
      },
      "threshold": self.threshold and self.threshold.to_json(),
      "warnings": list(self.warnings),
      "seconds": {key: round(x, 3) for key, x in self.seconds.items()},
    }


def _track(track: Track, match: matching.Match) -> dict[str, Any]:
  return {
    "id": track.id,
    "first_frame": track.first_frame,
    "last_frame": track.last_frame,
    "frames_used": track.frames_used,
    "frames": track.frames.tolist(),
    "boxes": np.round(track.boxes.astype(float), 1).tolist(),
    "identity": match.identity,
    "distance": match.distance,
    "reason": match.reason,
    "nearest": [
      {"person": near.person, "distance": near.distance}
      for near in match.nearest[:_NEAREST]
    ],
    "left_out": track.counted(),
    "ended": track.ended,
  }
