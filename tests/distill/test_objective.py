"""Several and unlike teachers, and what of them is kept."""

import dataclasses
import functools

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
from orbax import checkpoint as ocp
import pytest

from gaitkd_jax import checkpoint
from gaitkd_jax import checkpointer as checkpointer_lib
from gaitkd_jax import distill
from gaitkd_jax import errors
from gaitkd_jax import losses
from gaitkd_jax import models
from gaitkd_jax import sharding
from tests.helpers import distillation as helpers
from tests.parity import vectors

TWO = ("one", "two")


def test_every_teacher_reaches_the_student_and_is_not_reached():
  rng = np.random.default_rng(0)
  student = helpers.outputs(rng)
  teacher_out = {name: helpers.outputs(rng) for name in TWO}
  for level in ("decision_weight", "boundary_weight"):
    for one in TWO:
      # Only one term of one teacher has a weight.
      options = {
        name: dict(decision_weight=0.0, boundary_weight=0.0)
        | {level: float(name == one)}
        for name in TWO
      }
      teachers = helpers.make_teachers(**options)
      objective = helpers.objective_of(teachers)

      def loss(student, outputs, objective=objective):
        context = helpers.context_of(student, **outputs)
        return helpers.value_of(objective, context)[0]

      grads, teacher_grads = jax.grad(loss, argnums=(0, 1))(
        student, teacher_out
      )
      key = "logits" if level == "decision_weight" else "embedding"
      other = "embedding" if key == "logits" else "logits"
      assert np.abs(grads[key]).max() > 1e-4, (level, one)
      assert not np.abs(grads[other]).any()
      assert not any(np.abs(x).any() for x in jax.tree.leaves(teacher_grads))


@pytest.mark.parametrize("level", ["decision", "boundary"])
def test_copies_of_a_teacher(level):
  rng = np.random.default_rng(1)
  student, teacher = helpers.outputs(rng), helpers.outputs(rng)
  one = helpers.objective_of(helpers.make_teachers(a={}))
  single = helpers.value_of(one, helpers.context_of(student, a=teacher))[0]
  three = helpers.make_teachers(a={}, b={}, c={})
  copies = helpers.context_of(student, a=teacher, b=teacher, c=teacher)
  total, metrics = helpers.value_of(helpers.objective_of(three), copies)
  np.testing.assert_allclose(total, 3 * single, rtol=1e-6)
  together = dict(decision="mean", boundary="vote")
  total, metrics = helpers.value_of(
    helpers.objective_of(three, **together), copies
  )
  np.testing.assert_allclose(total, single, rtol=1e-6)
  np.testing.assert_allclose(metrics[level], metrics[f"{level}/a"], rtol=1e-6)


def test_the_mean_has_the_gradient_of_the_ensemble():
  rng = np.random.default_rng(2)
  student, a, b = (helpers.outputs(rng) for _ in range(3))
  teachers = helpers.make_teachers(
    a=dict(decision_weight=0.5), b=dict(decision_weight=1.5)
  )
  objective = helpers.objective_of(teachers, decision="mean")

  def in_training(logits):
    changed = student | {"logits": logits}
    return helpers.value_of(objective, helpers.context_of(changed, a=a, b=b))[0]

  def ensemble(logits):
    return losses.decision_ensemble_loss(
      logits, [a["logits"], b["logits"]], [0.5, 1.5], reduce="mean"
    )

  np.testing.assert_allclose(
    *(jax.grad(f)(student["logits"]) for f in (in_training, ensemble)),
    atol=1e-6,
  )


def test_parts_by_overlap():
  rng = np.random.default_rng(3)
  student, teacher = helpers.outputs(rng, p=4), helpers.outputs(rng, p=2)
  teachers = helpers.make_teachers(a=dict(model=helpers.model(parts=2)))
  objective = helpers.objective_of(teachers, parts="overlap")
  total, metrics = helpers.value_of(
    objective, helpers.context_of(student, a=teacher)
  )
  twice = {k: jnp.repeat(v, 2, axis=1) for k, v in teacher.items()}
  expected = losses.decision_loss(student["logits"], twice["logits"])
  np.testing.assert_allclose(metrics["decision/a"], expected, rtol=1e-5)
  expected += 0.01 * losses.boundary_loss(
    student["embedding"], twice["embedding"]
  )
  np.testing.assert_allclose(total, expected, rtol=1e-5)
  truncated = helpers.value_of(
    helpers.objective_of(teachers), helpers.context_of(student, a=teacher)
  )[0]
  assert abs(truncated - total) > 1e-3


@pytest.mark.parametrize("parts", ["truncate", "overlap"])
def test_a_pyramid_teaches_sixteen_strips(parts):
  """FoundationGait's 31 parts; the teacher's outputs are the reference's."""
  arrays, meta = vectors.load("foundationgait")
  teacher = {
    name: jnp.asarray(arrays[f"eval/{key}"]).swapaxes(1, 2)
    for name, key in (("embedding", "embed"), ("logits", "logits"))
  }
  config = vectors.model_config(meta["model_cfg"])
  teachers = helpers.make_teachers(a=dict(model=config))
  student = helpers.model(parts=16, embedding_dim=12, num_classes=5)
  objective = helpers.objective_of(teachers, student=student, parts=parts)
  outputs = helpers.outputs(np.random.default_rng(5), n=4, p=16, d=12, k=5)
  context = helpers.context_of(outputs, a=teacher)
  context = dataclasses.replace(context, labels=jnp.arange(4))
  _, metrics = helpers.value_of(objective, context)
  # The strip's own part, and those of the coarser levels that hold it.
  levels = [np.arange(16)]
  if parts == "overlap":
    starts = {2: 16, 4: 24, 8: 28, 16: 30}
    levels += [start + np.arange(16) // n for n, start in starts.items()]
  probabilities, boundary = 0.0, 0.0
  for level in levels:
    boundary += losses.boundary_loss(
      outputs["embedding"], teacher["embedding"][:, level]
    )
    probabilities += jax.nn.softmax(4.0 * teacher["logits"][:, level])
  probabilities /= len(levels)
  log_student = jax.nn.log_softmax(4.0 * outputs["logits"])
  decision = probabilities * (jnp.log(probabilities) - log_student)
  np.testing.assert_allclose(
    metrics["decision/a"], 16 * decision.sum(-1).mean(), rtol=1e-4
  )
  np.testing.assert_allclose(
    metrics["boundary/a"], boundary / len(levels), rtol=1e-4
  )
  module = models.create_model(student)
  notes = distill.check_compatible(module, "x", teachers, dict(parts=parts))
  first = "student x has 16 parts and teacher a 31: the first 16 of both"
  assert notes == [f"{first} are compared"] * (parts == "truncate")


def test_a_teacher_of_other_subjects_speaks_of_the_common_ones():
  rng = np.random.default_rng(4)
  student, teacher = helpers.outputs(rng, k=4), helpers.outputs(rng, k=3)
  names = [f"walkers/{i:03}" for i in range(4)]
  classes = distill.common_classes(
    "a", names, 4, ["walkers/003", "elsewhere/000", "walkers/001"], 3
  )
  np.testing.assert_array_equal(classes, ([1, 3], [2, 0]))
  teachers = helpers.make_teachers(a=dict(model=helpers.model(num_classes=3)))
  objective = helpers.objective_of(teachers, classes={"a": classes})
  _, metrics = helpers.value_of(
    objective, helpers.context_of(student, a=teacher)
  )
  expected = losses.decision_loss(
    student["logits"][..., jnp.array([1, 3])],
    teacher["logits"][..., jnp.array([2, 0])],
  )
  np.testing.assert_allclose(metrics["decision/a"], expected, rtol=1e-6)
  assert "teacher_accuracy/a" not in metrics


def test_a_teacher_of_strangers_teaches_boundaries_only():
  rng = np.random.default_rng(7)
  student, teacher = helpers.outputs(rng, k=4), helpers.outputs(rng, k=3)
  teachers = helpers.make_teachers(a=dict(model=helpers.model(num_classes=3)))
  terms = {"mse": dict(kind="feature_mse", weight=0.5)}
  objective = helpers.objective_of(
    teachers, terms=terms, classes={"a": distill.NO_CLASSES}
  )
  total, metrics = helpers.value_of(
    objective, helpers.context_of(student, a=teacher)
  )
  assert metrics.keys() == {
    "boundary/a",
    "boundary_bits/a",
    "boundary_agreement/a",
    "mse/a",
  }
  expected = 0.01 * metrics["boundary/a"] + 0.5 * metrics["mse/a"]
  np.testing.assert_allclose(total, expected, rtol=1e-6)
  with pytest.raises(errors.UserError, match="teacher a has no logits"):
    helpers.objective_of(
      teachers,
      terms={"soft": dict(kind="kd")},
      classes={"a": distill.NO_CLASSES},
    )
  common = {"a": (np.array([0, 1]), np.array([1, 2]))}
  helpers.objective_of(
    teachers, terms={"soft": dict(kind="kd")}, classes=common
  )


def test_a_teacher_without_cosines_has_its_own_scale():
  rng = np.random.default_rng(5)
  student, teacher = helpers.outputs(rng), helpers.outputs(rng)
  loud = teacher | {"logits": 16.0 * teacher["logits"]}
  plain = helpers.value_of(
    helpers.objective_of(helpers.make_teachers(a={})),
    helpers.context_of(student, a=teacher),
  )[1]
  scaled = helpers.value_of(
    helpers.objective_of(helpers.make_teachers(a=dict(scale=1.0))),
    helpers.context_of(student, a=loud),
  )[1]
  np.testing.assert_allclose(
    scaled["decision/a"], plain["decision/a"], rtol=1e-6
  )


@pytest.mark.slow
def test_one_and_eight_devices():
  (one, state), (eight, other) = helpers.train(1), helpers.train(8)
  for a, b in zip(one, eight, strict=True):
    for key in a.keys() - {"active_triplets"}:
      np.testing.assert_allclose(
        b[key], a[key], rtol=1e-3, atol=1e-5, err_msg=key
      )
  leaves = (jax.tree.leaves(s.aux) for s in (state, other))
  for a, b in zip(*leaves, strict=True):
    np.testing.assert_allclose(b, a, rtol=1e-3, atol=1e-4)
    assert b.sharding.is_fully_replicated


@pytest.mark.slow
def test_aux_is_restored_and_not_deployed(tmp_path):
  whole, state = helpers.train(1)
  resumed, other = helpers.train(1, folder=tmp_path / "checkpoints")
  assert whole == resumed
  jax.tree.map(np.testing.assert_array_equal, state.aux, other.aux)
  module = models.create_model(helpers.model())
  plain = jax.eval_shape(
    functools.partial(models.init_variables, module), jax.random.key(0)
  )
  # Refused if the item had an array more than the student alone.
  stored = checkpoint.restore_model(
    tmp_path, plain, sharding.replicated(sharding.create_mesh(1))
  )
  assert jax.tree.structure(stored) == jax.tree.structure(
    jax.tree.map(lambda x: 0, plain)
  )


@pytest.mark.slow
def test_a_connector_learns():
  _, state = helpers.train(1)
  _, other = helpers.train(1, steps=3)
  last, before = (
    s.aux["params"]["connectors"]["a"]["fc"]["kernel"] for s in (state, other)
  )
  assert last.shape == (4, 4, 6)
  assert np.abs(last - before).max() > 0
  assert "connectors" not in state.params


@pytest.mark.slow
def test_checkpoints_of_earlier_releases_are_restored(tmp_path):
  """Their item "optimizer" calls the fields by other names."""
  _, state = helpers.train(1)
  item = {
    "step": state.step,
    "opt_state": state.opt_state,
    "aids": state.aux,
    "aids_opt_state": state.aux_opt_state,
  }
  with ocp.CheckpointManager(tmp_path) as manager:
    manager.save(
      4,
      args=ocp.args.Composite(
        model=ocp.args.StandardSave(state.variables),
        optimizer=ocp.args.StandardSave(item),
        meta=ocp.args.JsonSave({}),
      ),
    )
  abstract = jax.eval_shape(lambda: state)
  with checkpointer_lib.Checkpointer(tmp_path, "rank1") as c:
    restored = c.restore(abstract, sharding.replicated(sharding.create_mesh(1)))
  assert restored.aux["memory"].keys() == {
    f"{name}/a" for name in helpers.WITH_MEMORY
  }
  assert "a" in restored.aux["params"]["connectors"]
  jax.tree.map(np.testing.assert_array_equal, restored, state)
