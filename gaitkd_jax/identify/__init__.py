"""From a video to the silhouettes of the people in it, and to their names.

from gaitkd_jax import identify
tracks = identify.silhouettes_of("door.mp4")
embeddings = identify.embed("student.onnx", [t.used for t in tracks])
matches = identify.match(embeddings, "store", threshold=0.77)

Nothing here imports JAX or TensorFlow before it needs them: with an exported
network, never.
"""

import importlib
from typing import TYPE_CHECKING
from typing import Any

if TYPE_CHECKING:
  from gaitkd_jax.identify.embedding import embed
  from gaitkd_jax.identify.embedding import open_network
  from gaitkd_jax.identify.enrolment import enrol
  from gaitkd_jax.identify.gallery import Gallery
  from gaitkd_jax.identify.gallery import open_gallery
  from gaitkd_jax.identify.matching import Match
  from gaitkd_jax.identify.matching import match
  from gaitkd_jax.identify.pipeline import silhouettes_of
  from gaitkd_jax.identify.track import Track

__all__ = (
  "Gallery",
  "Match",
  "Track",
  "embed",
  "enrol",
  "match",
  "open_gallery",
  "open_network",
  "silhouettes_of",
)
_MODULES = {
  "Gallery": "gallery",
  "Match": "matching",
  "Track": "track",
  "embed": "embedding",
  "enrol": "enrolment",
  "match": "matching",
  "open_gallery": "gallery",
  "open_network": "embedding",
  "silhouettes_of": "pipeline",
}


def __getattr__(name: str) -> Any:
  if name not in _MODULES:
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
  return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
