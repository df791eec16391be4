"""The network that embeds tracks: of a checkpoint, or of an exported file.

With an exported file neither JAX nor Flax nor TensorFlow is imported.
"""

from collections.abc import Sequence
import os
from typing import Any
from typing import Protocol

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax import runtime
from gaitkd_jax import storage
from gaitkd_jax.hosts import stopping

# Frames of a sequence that a network is shown at most, as in an evaluation;
# those in the middle of a longer one.
MAX_FRAMES = 720
_FRAME = (64, 44)


class Network(Protocol):
  """What the rest of identification needs of a network.

  Attributes:
    path: that was given.
    digests: that tell it from all others: its own first, then that of the
      checkpoint which it was exported from.
    metric: by which embeddings are compared, "euclidean" or "cosine".
    threshold: that of its metadata, see docs/export.md; None: it has none.
  """

  path: str
  digests: tuple[str, ...]
  metric: str
  threshold: dict[str, Any] | None

  def embed(self, clips: Sequence[np.ndarray]) -> np.ndarray:
    """Embeds sequences, uint8 `[s, 64, 44]`; returns float32 `[n, p, d]`."""

  def described(self) -> dict[str, Any]:
    """The network, for the header of a store of embeddings."""


class ExportedNetwork:
  """An exported network; see `Network`."""

  def __init__(self, path: str | os.PathLike[str], threads: int = 0):
    """Opens a file.

    Raises:
      errors.UserError: it cannot be used, or takes more than silhouettes.
    """
    self.path = os.fspath(path)
    try:
      # A library that is interrupted while it is loaded may crash.
      with stopping.held():
        self._exported = runtime.load(storage.fetch(path), threads)
    except FileNotFoundError as e:
      raise errors.UserError(
        f"--model {self.path} is not there; give a checkpoint, or a file that "
        "python -m gaitkd_jax.export wrote"
      ) from e
    known = self._exported.metadata
    if self._exported.frame_shape != _FRAME:
      raise no_silhouettes(self.path)
    self.digests = (self._exported.digest, str(known["checkpoint"]["digest"]))
    self.metric = str(known["metric"])
    self.threshold = known.get("threshold")

  def embed(self, clips: Sequence[np.ndarray]) -> np.ndarray:
    """See `Network`."""
    return self._exported.embed(list(clips), batch_size=4)

  def described(self) -> dict[str, Any]:
    """See `Network`."""
    known = self._exported.metadata
    return {
      "model": known["model"],
      "quantization": known["bits"],
      "dtype": "float32",
      "exported": os.path.abspath(self.path),
      "step": int(known["checkpoint"]["step"]),
      "digest": self.digests[0],
      "checkpoint_digest": self.digests[1],
      "metric": self.metric,
    }


def open_network(path: Network | str | os.PathLike[str]) -> Network:
  """Opens a network.

  Args:
    path: an exported file, .onnx; or a checkpoint: a workdir, its folder
      `checkpoints`, or one step in it. A network is returned as it is.

  Raises:
    errors.UserError: there is none, or it cannot be used.
  """
  if not isinstance(path, (str, os.PathLike)):
    return path
  text = os.fspath(path)
  if text.endswith(".onnx") or os.path.isfile(os.path.expanduser(text)):
    return ExportedNetwork(os.path.expanduser(text))
  # JAX is loaded for a checkpoint only; interrupted in this, it crashes.
  with stopping.held():
    from gaitkd_jax.identify import restored

  return restored.RestoredNetwork(text)


def no_silhouettes(path: str) -> errors.UserError:
  """What is said of a network that takes more than silhouettes."""
  return errors.UserError(
    f"--model {path} reads heat maps of poses, and a video gives silhouettes "
    "alone; give a network of silhouettes, such as gaitbase or deepgaitv2"
  )


def embed(
  model: Network | str | os.PathLike[str], clips: Sequence[np.ndarray]
) -> np.ndarray:
  """Embeds sequences of silhouettes.

  Args:
    model: a network, or the path of one, see `open_network`.
    clips: uint8 `[s, 64, 44]` each, 0 to 255, such as `Track.used`; one frame
      at least. Of more than 720 those in the middle are taken.

  Returns:
    float32 `[n, p, d]`, what a search compares.

  Raises:
    errors.UserError: the network cannot be used, or a clip is none.
  """
  model = open_network(model)
  for i, clip in enumerate(clips):
    fits = isinstance(clip, np.ndarray) and clip.shape[1:] == _FRAME
    if not fits or clip.dtype != np.uint8 or not len(clip):
      raise errors.UserError(
        f"clip {i} is no silhouettes; give uint8 [s, 64, 44], 0 to 255, one "
        "frame or more"
      )
  return model.embed([_middle(clip) for clip in clips])


def _middle(clip: np.ndarray) -> np.ndarray:
  first = max(0, len(clip) - MAX_FRAMES) // 2
  return clip[first : first + MAX_FRAMES]
