"""Terms that a config asks for."""

import jax
import numpy as np
import pytest

from gaitkd_jax import errors
from tests.helpers import distillation as helpers


@pytest.mark.parametrize(
  "term, words",
  [
    (dict(kind="rdk"), "rkd"),
    (dict(kind="rkd", teacher="b"), "b is none; config.teachers has a"),
    (dict(kind="rkd", margin=1.0), "no option margin"),
    (dict(kind="attention", end_points=("set", "sett")), "has no sett"),
    (dict(kind="relation_bank", against="me"), "not 'me'"),
    (dict(kind="idc", variant="kl"), "not 'kl'"),
    (dict(kind="feature_mse", weight="big"), "weight"),
    (dict(kind="channel_wise", end_points=("stage1", "set")), "compare"),
  ],
)
def test_a_term_that_cannot_work_is_one_line(term, words):
  with pytest.raises(errors.UserError, match=words) as e:
    helpers.objective_of(helpers.make_teachers(a={}), terms={"rival": term})
  assert "config.terms.rival" in str(e.value) and "\n" not in str(e.value)


# Ways to put two teachers together.
MODES = (
  dict(decision="sum", boundary="sum"),
  dict(decision="mean", boundary="vote"),
  dict(decision="mean", boundary="agree"),
)


@pytest.mark.parametrize("modes", MODES, ids=lambda m: m["boundary"])
def test_the_number_0_asks_what_a_schedule_of_zeros_asks(modes):
  rng = np.random.default_rng(8)
  student, *teacher_out = (helpers.outputs(rng) for _ in range(4))
  never = dict(kind="constant", value=0.0)

  def value_and_grad(silent):
    teachers = helpers.make_teachers(
      a={},
      b=dict(decision_weight=silent, boundary_weight=silent),
      c=dict(decision_weight=0.5, boundary_weight=silent),
    )
    objective = helpers.objective_of(teachers, **modes)

    def loss(student):
      context = helpers.context_of(
        student, **dict(zip("abc", teacher_out, strict=True))
      )
      return helpers.value_of(objective, context)

    return jax.value_and_grad(loss, has_aux=True)(student)

  (value, metrics), grad = value_and_grad(0.0)
  (expected, more), expected_grad = value_and_grad(never)
  np.testing.assert_allclose(value, expected, rtol=1e-6)
  for key in grad:
    np.testing.assert_allclose(grad[key], expected_grad[key], atol=1e-6)
  # It is not logged, but how often the teacher is right is.
  assert more.keys() - metrics.keys() == {
    "decision/b",
    "teacher_kl/b",
    *(
      f"boundary{what}/{name}"
      for what in ("", "_bits", "_agreement")
      for name in "bc"
    ),
  }
  assert "teacher_accuracy/b" in metrics


def test_levels_can_be_asked_for_as_terms():
  rng = np.random.default_rng(11)
  student, teacher_out = helpers.outputs(rng), helpers.outputs(rng)
  context = helpers.context_of(student, a=teacher_out)
  asked = helpers.make_teachers(a=dict(temperature=2.0))
  expected, metrics = helpers.value_of(helpers.objective_of(asked), context)
  silent = helpers.make_teachers(
    a=dict(decision_weight=0.0, boundary_weight=0.0)
  )
  terms = {
    "decision": dict(kind="decision", temperature=2.0),
    "boundary": dict(kind="boundary", weight=0.01),
  }
  objective = helpers.objective_of(silent, terms=terms)
  total, found = helpers.value_of(objective, context)
  np.testing.assert_allclose(total, expected, rtol=1e-6)
  assert found.keys() == metrics.keys()
  for key in metrics:
    np.testing.assert_allclose(found[key], metrics[key], rtol=1e-6)
  with pytest.raises(errors.UserError, match="terms.decision has the name"):
    helpers.objective_of(asked, terms=terms)


def test_an_unknown_way_to_put_teachers_together():
  with pytest.raises(errors.UserError, match="'most'; give one of sum, vote"):
    helpers.objective_of(helpers.make_teachers(a={}), boundary="most")
