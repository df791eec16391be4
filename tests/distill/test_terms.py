"""Terms, their weights and their memories."""

import dataclasses

import jax
import jax.extend
import numpy as np
import pytest

from gaitkd_jax import losses
from tests.helpers import distillation as helpers


def test_terms_follow_their_weight_and_options():
  rng = np.random.default_rng(6)
  student, teacher = helpers.outputs(rng), helpers.outputs(rng)
  context = helpers.context_of(student, a=teacher)
  plain, _ = helpers.value_of(
    helpers.objective_of(helpers.make_teachers(a={})), context
  )
  ramp = dict(kind="linear", start=2.0, end=4.0, steps=2)
  terms = {
    "soft": dict(kind="kd", weight=ramp, temperature=ramp, scale=16.0),
    "truth": dict(kind="dkd", weight=0.5),
  }
  objective = helpers.objective_of(helpers.make_teachers(a={}), terms=terms)
  total, metrics = helpers.value_of(objective, context)
  pair = student["logits"], teacher["logits"]
  expected = 2.0 * losses.decision_loss(*pair, temperature=2.0)
  expected += 0.5 * losses.dkd_loss(*pair, context.labels)
  np.testing.assert_allclose(total, plain + expected, rtol=1e-5)
  assert {"soft/a", "truth/a"} <= metrics.keys()


@pytest.mark.slow
def test_the_bank_is_off_until_a_quarter_is_filled_and_wraps():
  history, state = helpers.train(1)
  assert history[0]["bank/a"] == 0.0  # empty
  assert history[1]["bank/a"] > 0.0  # 16 of 40
  bank = state.aux["memory"]["bank/a"]
  assert int(bank.count) == 40 and int(bank.cursor) == 4 * 16 % 40


def untouched(objective, student, teacher_out):
  """The outputs that nothing is computed from, and the primitives used."""
  context = helpers.context_of(student, a=teacher_out)
  jaxpr = jax.make_jaxpr(
    lambda student, teacher_out: helpers.value_of(
      objective,
      dataclasses.replace(
        context, student=student, teacher_outputs={"a": teacher_out}
      ),
    )
  )(student, teacher_out)
  names = [f"{who}/{key}" for who in ("student", "teacher") for key in student]
  read = {
    str(v)
    for eqn in jaxpr.jaxpr.eqns
    for v in eqn.invars
    if not isinstance(v, jax.extend.core.Literal)
  }
  inputs = zip(names, jaxpr.jaxpr.invars, strict=True)
  return {name for name, v in inputs if str(v) not in read}, str(jaxpr)


@pytest.mark.parametrize(
  "options, terms, expected",
  [
    ({}, {}, set()),
    (dict(decision_weight=0.0), {}, {"student/logits"}),
    (
      dict(boundary_weight=0.0),
      {},
      {"student/embedding", "teacher/embedding"},
    ),
    (
      dict(decision_weight=0.0, boundary_weight=0.0),
      {"mse": dict(kind="feature_mse")},
      {"student/logits"},
    ),
    (
      dict(decision_weight=0.0, boundary_weight=0.0),
      {"mse": dict(kind="feature_mse", weight=0.0)},
      {"student/logits", "student/embedding", "teacher/embedding"},
    ),
  ],
)
def test_what_is_silent_is_not_computed(options, terms, expected):
  rng = np.random.default_rng(9)
  student, teacher_out = helpers.outputs(rng), helpers.outputs(rng)
  objective = helpers.objective_of(
    helpers.make_teachers(a=options), terms=terms
  )
  found, program = untouched(objective, student, teacher_out)
  assert found == expected
  # The teacher's logits are read for its accuracy, not for a distribution.
  assert (" exp" in program) == ("student/logits" not in expected)


def test_a_rival_on_embeddings_needs_no_logits():
  rng = np.random.default_rng(10)
  student, teacher_out = helpers.outputs(rng), helpers.outputs(rng)
  silent = dict(decision_weight=0.0, boundary_weight=0.0)
  objective = helpers.objective_of(
    helpers.make_teachers(a=silent), terms={"mse": dict(kind="feature_mse")}
  )
  for outputs in (student, teacher_out):
    del outputs["logits"]
  total, metrics = helpers.value_of(
    objective, helpers.context_of(student, a=teacher_out)
  )
  assert metrics.keys() == {"mse/a"}
  np.testing.assert_allclose(
    total,
    losses.feature_mse_loss(student["embedding"], teacher_out["embedding"]),
  )


@pytest.mark.parametrize("mode", ["sum", "vote"])
def test_a_centred_boundary_looks_behind_the_neck(mode):
  rng = np.random.default_rng(13)
  student = helpers.outputs(rng)
  teachers = {name: helpers.outputs(rng) for name in "ab"}
  for outputs in teachers.values():
    outputs["neck"] = helpers.outputs(rng)["embedding"]
  values = dict(decision_weight=0.0, boundary_weight=0.5)
  centred = dict(boundary_centre="neck", boundary_reduce="mean")
  made = helpers.make_teachers(a=values | centred, b=values | centred)
  objective = helpers.objective_of(made, boundary=mode)
  total, metrics = helpers.value_of(
    objective, helpers.context_of(student, **teachers)
  )
  expected = losses.boundary_ensemble_loss(
    student["embedding"],
    [outputs["neck"] for outputs in teachers.values()],
    [0.5, 0.5],
    mode,
    centre="neck",
    reduce="mean",
  )
  # The mean weight of a vote, which itself sees proportions only.
  factor = 1.0 if mode == "sum" else 0.5
  np.testing.assert_allclose(total, factor * expected, rtol=1e-5)
  neck = teachers["a"]["neck"]
  np.testing.assert_allclose(
    metrics["boundary_bits/a"], losses.boundary_bits(neck, neck)
  )
  np.testing.assert_allclose(
    metrics["boundary_agreement/a"],
    losses.boundary_agreement(student["embedding"], neck, centre="neck"),
  )


def test_as_published_it_looks_at_the_embedding():
  rng = np.random.default_rng(14)
  student, teacher = helpers.outputs(rng), helpers.outputs(rng)
  teacher["neck"] = -teacher["embedding"]
  made = helpers.make_teachers(a=dict(decision_weight=0.0))
  total, _ = helpers.value_of(
    helpers.objective_of(made), helpers.context_of(student, a=teacher)
  )
  pair = student["embedding"], teacher["embedding"]
  np.testing.assert_allclose(total, 0.01 * losses.boundary_loss(*pair))
