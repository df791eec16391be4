"""What ends a program without a traceback: mistakes, a stop, an answer."""

from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
from typing import Self

# The status of a program that was stopped, and goes on if it is started again.
STOPPED = 75


class Help(Exception):  # noqa: N818  # it is an answer, not an error
  """Raised for `--config=<file>:help`; its text is the answer."""


class Stopped(KeyboardInterrupt):
  """A signal stopped the program; the command line prints the text.

  Attributes:
    signal: its number; None: another process got it.
    saved: whether the same command goes on with what was done.
  """

  signal: int | None = None
  saved: bool = False

  def keeping(self, done: str) -> Self:
    """The same of a program that has saved something.

    Args:
      done: what and where.
    """
    kept = type(self)(f"{self}; {done}; the same command goes on")
    kept.signal, kept.saved = self.signal, True
    return kept


class UserError(ValueError):
  """A mistake that the user can correct.

  Its text is one line: what is wrong, where, and what to do. The command line
  prints it on standard error and exits with status 2.

  Attributes:
    texts: of the mistakes that it names, if they are several.
  """

  texts: tuple[str, ...] = ()


class Mistakes:
  """Collects mistakes, so that a user hears of all of them at once."""

  def __init__(self) -> None:
    self._texts: list[str] = []

  def add(self, texts: Iterable[str]) -> None:
    """Adds mistakes, each with the text of its `UserError`, and once."""
    self._texts += [text for text in texts if text not in self._texts]

  @contextlib.contextmanager
  def collect(self) -> Iterator[None]:
    """Keeps a `UserError` that is raised inside; what follows goes on."""
    try:
      yield
    except UserError as error:
      self.add(error.texts or [str(error)])

  def check(self) -> None:
    """Raises a `UserError` if there were mistakes; it names all of them."""
    if len(self._texts) == 1:
      raise UserError(self._texts[0])
    if self._texts:
      numbered = (f"({i}) {text}" for i, text in enumerate(self._texts, 1))
      error = UserError(f"{len(self._texts)} mistakes: {'; '.join(numbered)}")
      error.texts = tuple(self._texts)
      raise error
