"""Mistakes that are collected are told together."""

import pytest

from gaitkd_jax import errors


def test_none_one_and_several():
  mistakes = errors.Mistakes()
  mistakes.check()
  with mistakes.collect():
    raise errors.UserError("first")
  with pytest.raises(errors.UserError, match=r"^first$"):
    mistakes.check()
  mistakes.add(["second", "third"])
  with pytest.raises(errors.UserError) as caught:
    mistakes.check()
  said = "3 mistakes: (1) first; (2) second; (3) third"
  assert str(caught.value) == said
  # Collected once more they are not counted twice.
  again = errors.Mistakes()
  with again.collect():
    mistakes.check()
  again.add(["fourth"])
  with pytest.raises(errors.UserError, match=r"^4 mistakes: \(1\) first; "):
    again.check()


def test_what_two_checks_find_is_told_once():
  mistakes = errors.Mistakes()
  mistakes.add(["first", "second"])
  with mistakes.collect():
    raise errors.UserError("first")
  with pytest.raises(errors.UserError, match=r"^2 mistakes: \(1\) first; \(2"):
    mistakes.check()


def test_a_bug_is_not_collected():
  with pytest.raises(KeyError), errors.Mistakes().collect():
    raise KeyError("x")
