"""Tracks are embedded in a thread of its own, while others are looked for."""

import queue
import threading
import time

import numpy as np

from gaitkd_jax.identify import embedding
from gaitkd_jax.identify.track import Track


class Embedder:
  """Embeds tracks one by one, each as soon as it is there.

  One by one, so that numbers do not depend on how fast anything is.

  Attributes:
    seconds: that were spent on embedding.
  """

  def __init__(self, network: embedding.Network):
    """Starts a thread, which ends with `finish` or `stop`."""
    self.seconds = 0.0
    self._network = network
    self._waiting: queue.Queue[Track | None] = queue.Queue()
    self._found: dict[int, np.ndarray] = {}
    self._error: Exception | None = None
    self._stopped = False
    self._thread = threading.Thread(target=self._work, daemon=True)
    self._thread.start()

  def add(self, track: Track) -> None:
    """Takes a track; one of which no frame may be used is left alone.

    Raises:
      errors.UserError: the network cannot be used, as an earlier track showed.
    """
    if self._error is not None:
      raise self._error
    if track.frames_used:
      self._waiting.put(track)

  def stop(self) -> None:
    """Embeds nothing more, and waits for nothing."""
    self._stopped = True
    self._waiting.put(None)

  def finish(self, tracks: list[Track]) -> list[np.ndarray]:
    """Waits for all that were added.

    Args:
      tracks: all of them, those that were not added included.

    Returns:
      float32 `[p, d]` for each that was added, in the order of `tracks`.

    Raises:
      errors.UserError: the network cannot be used.
    """
    self._waiting.put(None)
    self._thread.join()
    if self._error is not None:
      raise self._error
    return [self._found[id(t)] for t in tracks if id(t) in self._found]

  def _work(self) -> None:
    while not self._stopped and (track := self._waiting.get()) is not None:
      start = time.perf_counter()
      try:
        (found,) = embedding.embed(self._network, [track.used])
      except Exception as error:
        self._error = error
        return
      self._found[id(track)] = found
      self.seconds += time.perf_counter() - start
