"""The rows of the table of objectives."""

import inspect

import numpy as np
import pytest

from gaitkd_jax import losses
from gaitkd_jax.distill import kinds
from gaitkd_jax.distill import terms


def loss(student, teacher, labels, state, top=3, scale=1.0, overlap=None):
  del student, teacher, labels, state, top, scale, overlap


def test_what_a_config_may_set():
  plain = kinds.Kind(loss, "logits")
  assert plain.options == ["top", "scale"] and plain.needs_labels
  # Options of the memory are listed with the memory.
  memory = kinds.Memory("state", init=np.zeros, options=dict(top=5))
  assert kinds.Kind(loss, "logits", memory=memory).options == ["scale"]

  def again(context, pair, teacher, erase=0.5, scale=2.0):
    del context, pair, teacher, erase, scale

  other = kinds.Kind(loss, "logits", other_clips=again)
  assert other.options == ["erase", "scale", "top"]
  assert not kinds.Kind(losses.info_nce_loss, "embedding").needs_labels


@pytest.mark.parametrize("name", terms.KINDS)
def test_a_row_is_about_a_loss_of_the_library(name):
  kind = terms.KINDS[name]
  assert kind.loss.__name__ in losses.__all__
  assert kind.end_point in ("embedding", "logits")
  first, second = list(kind.arguments)[:2]
  if not kind.alone:
    assert first.startswith("student") and second.startswith("teacher")
  if kind.memory:
    assert kind.memory.argument in kind.arguments
    known = inspect.signature(kind.memory.init).parameters
    assert set(kind.memory.options) == set(list(known)[1:])
  for changes in kind.diagnostics.values():
    assert set(changes) <= set(kind.options)
  assert set(kind.of_teachers) <= {"weight", *kind.options}


def test_levels_of_gaitkd_are_rows():
  levels = [name for name, kind in terms.KINDS.items() if kind.of_teachers]
  assert levels == ["decision", "boundary"]
