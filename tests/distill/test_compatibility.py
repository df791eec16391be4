"""Whether a student can learn from its teachers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import distill
from gaitkd_jax import errors
from gaitkd_jax import losses
from gaitkd_jax import models
from tests.helpers import distillation as helpers
from tests.helpers import networks

BOUNDARY = {"boundary", "boundary_bits", "boundary_agreement"}


@pytest.mark.parametrize(
  "change, words",
  [
    (dict(embedding_dim=6), "8 channels.*6"),
  ],
)
def test_a_teacher_that_does_not_fit_is_one_line(change, words):
  teachers = distill.create_teachers({"big": helpers.teacher_of(**change)})
  student = models.create_model(helpers.small_model())
  with pytest.raises(errors.UserError, match=words) as e:
    distill.check_compatible(student, "gaitbase", teachers)
  assert "big" in str(e.value) and "\n" not in str(e.value)


@pytest.mark.parametrize(
  "change, words, terms",
  [
    (dict(), None, {"decision", "teacher_accuracy", "teacher_kl", *BOUNDARY}),
    (
      dict(parts=8),
      "16 parts and teacher big 8: the first 8",
      {"decision", "teacher_accuracy", "teacher_kl", *BOUNDARY},
    ),
    (dict(num_classes=0), "teacher big has no classifier", BOUNDARY),
  ],
)
def test_what_two_networks_have_in_common(change, words, terms):
  student = models.create_model(helpers.small_model())
  teachers = distill.create_teachers({"big": helpers.teacher_of(**change)})
  notes = distill.check_compatible(student, "gaitbase", teachers)
  assert [words in note for note in notes] == ([True] if words else [])
  x = jax.random.uniform(jax.random.key(0), (4, 2, 64, 44))
  outputs, teacher_outputs = (
    jax.jit(m.apply)(networks.initial_variables(m, i), x)
    for i, m in enumerate((student, teachers["big"].module))
  )
  objective = distill.create_objective(student, teachers)
  total, metrics, _ = objective(
    distill.Context(
      student=outputs,
      teacher_outputs={"big": teacher_outputs},
      labels=jnp.arange(4),
      step=jnp.zeros([], jnp.int32),
    ),
    objective.init_aux(jax.random.key(0)),
  )
  assert metrics.keys() == {f"{term}/big" for term in terms}
  p = change.get("parts", 16)
  expected = 0.01 * losses.boundary_loss(
    outputs["embedding"][:, :p], teacher_outputs["embedding"]
  )
  if "logits" in teacher_outputs:
    expected += losses.decision_loss(
      outputs["logits"][:, :p], teacher_outputs["logits"]
    )
  np.testing.assert_allclose(total, expected, rtol=1e-6)


def check(student=None, ordered=True, distillation=None, **teachers):
  return distill.check_compatible(
    models.create_model(helpers.model() | (student or {})),
    "gaitbase",
    helpers.make_teachers(**teachers),
    distillation,
    ordered,
  )


def test_networks_that_agree_need_no_note():
  assert check(a={}) == []
  other = dict(student=dict(parts=8), a={})
  (note,) = check(**other)
  assert "8 parts and teacher a 4: the first 4 of both" in note
  assert "at other heights" in note
  assert check(distillation=dict(parts="overlap"), **other) == []


def test_a_connector_bridges_widths():
  wide = helpers.model(embedding_dim=6)
  with pytest.raises(errors.UserError, match="a.connector=True"):
    check(a=dict(model=wide))
  assert check(a=dict(model=wide, connector=True)) == []


@pytest.mark.parametrize("mode", ["vote", "agree"])
def test_votes_compare_the_teachers_channels(mode):
  vote = dict(boundary=mode)
  assert check(distillation=vote, a={}, b={}) == []
  for distillation, teacher in (
    (vote, dict(connector=True)),
    (vote | dict(parts="overlap"), dict(model=helpers.model(parts=2))),
  ):
    with pytest.raises(errors.UserError, match=f"boundary is {mode}") as e:
      check(distillation=distillation, a={}, b=teacher)
    assert "\n" not in str(e.value)


def test_teachers_of_ordered_frames_need_ordered_clips():
  model = dict(
    name="deepgaitv2", channels=(2, 2, 4, 4), blocks=(0, 1, 1, 0), num_classes=4
  )
  teacher = dict(model=model, connector=True)
  assert not any("order" in note for note in check(a=teacher))
  with pytest.raises(errors.UserError, match="frames in their order"):
    check(ordered=False, a=teacher)
  check(ordered=False, a={})
