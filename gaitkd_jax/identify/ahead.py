"""Reads in a thread of its own, so that reading and work overlap."""

from collections.abc import Iterator
import queue
import threading
from typing import Any

_QUEUE = 8  # items that are read ahead


class Ahead:
  """Reads an iterator in a thread, some items ahead."""

  def __init__(self, items: Iterator[Any]):
    """Takes the items; the thread begins where it is entered."""
    self._items = items
    self._queue: queue.Queue[Any] = queue.Queue(_QUEUE)
    self._stop = threading.Event()
    self._thread = threading.Thread(target=self._work, daemon=True)

  def __enter__(self) -> Iterator[Any]:
    self._thread.start()
    return self._iterate()

  def __exit__(self, *_: object) -> None:
    self._stop.set()
    while self._thread.is_alive():
      try:
        self._queue.get(timeout=0.05)
      except queue.Empty:
        continue
    self._thread.join()

  def _put(self, item: Any) -> bool:
    while not self._stop.is_set():
      try:
        self._queue.put(item, timeout=0.1)
        return True
      except queue.Full:
        continue
    return False

  def _work(self) -> None:
    try:
      for item in self._items:
        if not self._put((item, None)):
          return
      self._put((None, None))
    except BaseException as error:
      self._put((None, error))

  def _iterate(self) -> Iterator[Any]:
    while True:
      item, error = self._queue.get()
      if error is not None:
        raise error
      if item is None:
        return
      yield item
