"""Several and unlike teachers, further terms, and what is left of them."""

import functools

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict
import numpy as np
import pytest

from gaitkd_jax import checkpoint
from gaitkd_jax import config as config_lib
from gaitkd_jax import distill
from gaitkd_jax import errors
from gaitkd_jax import losses
from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax.distill import views
from gaitkd_jax.training import optim
from gaitkd_jax.training import step

LOSSES = dict(
  triplet=dict(weight=1.0, margin=0.2),
  cross_entropy=dict(weight=1.0, scale=16.0, label_smoothing=0.1),
)
SGD = dict(
  name="sgd",
  learning_rate=1e-5,  # on noise, larger ones let rounding grow
  schedule=dict(kind="constant"),
  momentum=0.9,
  weight_decay=5e-4,
  clip_norm=0.0,
)
TWO = ("one", "two")


def model(**changes):
  return (
    dict(
      name="gaitbase",
      channels=(2, 2, 4, 4),
      blocks=(0, 1, 1, 0),
      embedding_dim=4,
      num_classes=4,
      parts=4,
    )
    | changes
  )


def make_teachers(**models_by_name):
  return distill.create_teachers(
    {
      name: config_lib.teacher(
        ConfigDict(options.pop("model", model())),
        **(dict(boundary_weight=0.01) | options),
      )
      for name, options in models_by_name.items()
    }
  )


def outputs(rng, n=6, p=4, d=4, k=4):
  x = {
    "embedding": rng.normal(size=(n, p, d)),
    "logits": rng.uniform(-1, 1, size=(n, p, k)),
  }
  return {key: jnp.asarray(value, jnp.float32) for key, value in x.items()}


def context_of(student, **taught):
  return distill.Context(
    student=student,
    taught=taught,
    labels=jnp.array([0, 0, 1, 1, 2, 2]),
    step=jnp.zeros([], jnp.int32),
  )


def value_of(objective, context):
  aids = objective.init_aids(jax.random.key(0))
  return objective(context, aids)[:2]


def objective_of(teachers, student=None, terms=None, classes=None, **options):
  return distill.create_objective(
    models.create_model(student or model()),
    teachers,
    dict(decision="sum", boundary="sum", parts="truncate") | options,
    terms,
    classes=classes,
  )


def test_every_teacher_reaches_the_student_and_is_not_reached():
  rng = np.random.default_rng(0)
  student, taught = outputs(rng), {name: outputs(rng) for name in TWO}
  for level in ("decision_weight", "boundary_weight"):
    for one in TWO:
      # Only one term of one teacher has a weight.
      options = {
        name: dict(decision_weight=0.0, boundary_weight=0.0)
        | {level: float(name == one)}
        for name in TWO
      }
      teachers = make_teachers(**options)
      objective = objective_of(teachers)

      def loss(student, taught, objective=objective):
        return value_of(objective, context_of(student, **taught))[0]

      ours, theirs = jax.grad(loss, argnums=(0, 1))(student, taught)
      key = "logits" if level == "decision_weight" else "embedding"
      other = "embedding" if key == "logits" else "logits"
      assert np.abs(ours[key]).max() > 1e-4, (level, one)
      assert not np.abs(ours[other]).any()
      assert not any(np.abs(x).any() for x in jax.tree.leaves(theirs))


@pytest.mark.parametrize("level", ["decision", "boundary"])
def test_copies_of_a_teacher(level):
  rng = np.random.default_rng(1)
  student, taught = outputs(rng), outputs(rng)
  one = objective_of(make_teachers(a={}))
  single = value_of(one, context_of(student, a=taught))[0]
  three = make_teachers(a={}, b={}, c={})
  copies = context_of(student, a=taught, b=taught, c=taught)
  total, metrics = value_of(objective_of(three), copies)
  np.testing.assert_allclose(total, 3 * single, rtol=1e-6)
  together = dict(decision="mean", boundary="vote")
  total, metrics = value_of(objective_of(three, **together), copies)
  np.testing.assert_allclose(total, single, rtol=1e-6)
  np.testing.assert_allclose(metrics[level], metrics[f"{level}/a"], rtol=1e-6)


def test_the_mean_has_the_gradient_of_the_ensemble():
  rng = np.random.default_rng(2)
  student, a, b = (outputs(rng) for _ in range(3))
  teachers = make_teachers(
    a=dict(decision_weight=0.5), b=dict(decision_weight=1.5)
  )
  objective = objective_of(teachers, decision="mean")

  def ours(logits):
    changed = student | {"logits": logits}
    return value_of(objective, context_of(changed, a=a, b=b))[0]

  def ensemble(logits):
    return losses.decision_ensemble_loss(
      logits, [a["logits"], b["logits"]], [0.5, 1.5], reduce="mean"
    )

  np.testing.assert_allclose(
    *(jax.grad(f)(student["logits"]) for f in (ours, ensemble)), atol=1e-6
  )


def test_parts_by_overlap():
  rng = np.random.default_rng(3)
  student, taught = outputs(rng, p=4), outputs(rng, p=2)
  teachers = make_teachers(a=dict(model=model(parts=2)))
  objective = objective_of(teachers, parts="overlap")
  total, metrics = value_of(objective, context_of(student, a=taught))
  twice = {k: jnp.repeat(v, 2, axis=1) for k, v in taught.items()}
  expected = losses.decision_loss(student["logits"], twice["logits"])
  np.testing.assert_allclose(metrics["decision/a"], expected, rtol=1e-5)
  expected += 0.01 * losses.boundary_loss(
    student["embedding"], twice["embedding"]
  )
  np.testing.assert_allclose(total, expected, rtol=1e-5)
  truncated = value_of(objective_of(teachers), context_of(student, a=taught))[0]
  assert abs(truncated - total) > 1e-3


def test_a_teacher_of_other_subjects_speaks_of_the_common_ones():
  rng = np.random.default_rng(4)
  student, taught = outputs(rng, k=4), outputs(rng, k=3)
  names = [f"walkers/{i:03}" for i in range(4)]
  classes = distill.common_classes(
    "a", names, 4, ["walkers/003", "elsewhere/000", "walkers/001"], 3
  )
  np.testing.assert_array_equal(classes, ([1, 3], [2, 0]))
  teachers = make_teachers(a=dict(model=model(num_classes=3)))
  objective = objective_of(teachers, classes={"a": classes})
  _, metrics = value_of(objective, context_of(student, a=taught))
  expected = losses.decision_loss(
    student["logits"][..., jnp.array([1, 3])],
    taught["logits"][..., jnp.array([2, 0])],
  )
  np.testing.assert_allclose(metrics["decision/a"], expected, rtol=1e-6)
  assert "teacher_accuracy/a" not in metrics


def test_a_teacher_of_strangers_teaches_boundaries_only():
  rng = np.random.default_rng(7)
  student, taught = outputs(rng, k=4), outputs(rng, k=3)
  teachers = make_teachers(a=dict(model=model(num_classes=3)))
  terms = {"mse": dict(kind="feature_mse", weight=0.0)}
  objective = objective_of(
    teachers, terms=terms, classes={"a": distill.NO_CLASSES}
  )
  total, metrics = value_of(objective, context_of(student, a=taught))
  assert metrics.keys() == {"boundary/a", "mse/a"}
  np.testing.assert_allclose(total, 0.01 * metrics["boundary/a"], rtol=1e-6)
  with pytest.raises(errors.UserError, match="teacher a has no logits"):
    objective_of(
      teachers,
      terms={"soft": dict(kind="kd")},
      classes={"a": distill.NO_CLASSES},
    )
  common = {"a": (np.array([0, 1]), np.array([1, 2]))}
  objective_of(teachers, terms={"soft": dict(kind="kd")}, classes=common)


def test_a_teacher_without_cosines_has_its_own_scale():
  rng = np.random.default_rng(5)
  student, taught = outputs(rng), outputs(rng)
  loud = taught | {"logits": 16.0 * taught["logits"]}
  plain = value_of(
    objective_of(make_teachers(a={})), context_of(student, a=taught)
  )[1]
  scaled = value_of(
    objective_of(make_teachers(a=dict(scale=1.0))),
    context_of(student, a=loud),
  )[1]
  np.testing.assert_allclose(
    scaled["decision/a"], plain["decision/a"], rtol=1e-6
  )


@pytest.mark.parametrize(
  "ours, theirs, words",
  [
    (["d/a"], [], "one a line"),
    (["d/a"], ["d/b", "d/c"], "none of the student's 1"),
    (["d/a"], ["d/a"] * 6, "6 names"),
  ],
)
def test_subjects_that_cannot_be_matched(ours, theirs, words):
  with pytest.raises(errors.UserError, match=words) as e:
    distill.common_classes("big", ours, 4, theirs, 5)
  assert "big" in str(e.value) and "\n" not in str(e.value)


def test_names_of_classes(tmp_path):
  path = tmp_path / "names.txt"
  path.write_text("001\nother/002\n")
  assert distill.read_names(path, "casiab") == ["casiab/001", "other/002"]
  for text, words in (("", "no name"), ("1\n1\n", "twice")):
    path.write_text(text)
    with pytest.raises(errors.UserError, match=words):
      distill.read_names(path, "casiab")
  with pytest.raises(errors.UserError, match="cannot be read"):
    distill.read_names(tmp_path / "none.txt", "casiab")


@pytest.mark.parametrize(
  "term, words",
  [
    (dict(kind="rdk"), "rkd"),
    (dict(kind="rkd", teacher="b"), "b is none; config.teachers has a"),
    (dict(kind="rkd", margin=1.0), "no option margin"),
    (dict(kind="attention", end_points=("set", "sett")), "has no sett"),
    (dict(kind="relation_bank", against="me"), "not 'me'"),
    (dict(kind="feature_mse", weight="big"), "weight"),
    (dict(kind="channel_wise", end_points=("stage1", "set")), "compare"),
  ],
)
def test_a_term_that_cannot_work_is_one_line(term, words):
  with pytest.raises(errors.UserError, match=words) as e:
    objective_of(make_teachers(a={}), terms={"mine": term})
  assert "config.terms.mine" in str(e.value) and "\n" not in str(e.value)


def test_terms_follow_their_weight_and_options():
  rng = np.random.default_rng(6)
  student, taught = outputs(rng), outputs(rng)
  context = context_of(student, a=taught)
  plain, _ = value_of(objective_of(make_teachers(a={})), context)
  ramp = dict(kind="linear", start=2.0, end=4.0, steps=2)
  terms = {
    "soft": dict(kind="kd", weight=ramp, temperature=ramp, scale=16.0),
    "truth": dict(kind="dkd", weight=0.5),
  }
  objective = objective_of(make_teachers(a={}), terms=terms)
  total, metrics = value_of(objective, context)
  pair = student["logits"], taught["logits"]
  expected = 2.0 * losses.decision_loss(*pair, temperature=2.0)
  expected += 0.5 * losses.dkd_loss(*pair, context.labels)
  np.testing.assert_allclose(total, plain + expected, rtol=1e-5)
  assert {"soft/a", "truth/a"} <= metrics.keys()


def test_partners_and_heavy_views():
  labels = jnp.array([3, 1, 3, 3, 1, 2])
  other = views.partners(labels)
  np.testing.assert_array_equal(other, [2, 4, 0, 3, 1, 5])
  np.testing.assert_array_equal(labels[other], labels)
  batch = {
    "silhouettes": jnp.full((8, 3, 16, 10), 255, jnp.uint8),
    "heatmaps": jnp.full((8, 3, 16, 10, 2), 7, jnp.uint8),
  }
  view = views.heavy_view(batch, jax.random.key(0), 0.5)
  gone = view["silhouettes"] == 0
  np.testing.assert_array_equal(gone, gone[:, :1].repeat(3, axis=1))
  np.testing.assert_array_equal(view["heatmaps"][..., 0] == 0, gone)
  share = gone.mean(axis=(1, 2, 3))
  assert 0 < share.max() <= 0.25 and share.std() > 0


@functools.cache
def train(num_devices, steps=4, kind="aids", folder=None):
  """A few steps; with a folder, saved and restored after two."""
  module = models.create_model(model())
  wide = dict(model=model(embedding_dim=6), connector=True)
  teachers = make_teachers(a=wide if kind == "aids" else {})
  terms = {
    "aids": {
      "bank": dict(kind="relation_bank", size=40, hardest=4),
      "ekd": dict(kind="ekd", rates=(10, 100)),
      "instance": dict(kind="instance", share=0.5),
      "centres": dict(kind="adadistill", weight=0.1),
    },
    "views": {
      "swap": dict(kind="patch_swap", bands=4),
      "cross": dict(kind="cross_view"),
    },
  }[kind]
  optimizer, schedule = optim.create_optimizer(SGD)
  mesh = sharding.create_mesh(num_devices)
  objective = distill.create_objective(module, teachers, None, terms)
  init = step.make_init(module, optimizer, mesh, objective)
  state = init(jax.random.key(0))
  frozen = {
    n: models.init_variables(t.module, jax.random.key(1))
    for n, t in teachers.items()
  }
  frozen = jax.device_put(frozen, sharding.replicated(mesh))
  train_step = step.make_train_step(
    module, optimizer, schedule, LOSSES, objective, mesh
  )
  history = []
  for i in range(steps):
    rng = np.random.default_rng(i)
    batch = dict(
      silhouettes=rng.integers(0, 2, (16, 2, 64, 44), np.uint8) * 255,
      labels=np.repeat(np.arange(4, dtype=np.int32), 4),
    )
    state, metrics = train_step(state, frozen, sharding.put_batch(batch, mesh))
    history.append({k: float(v) for k, v in metrics.items()})
    if folder and i == 1:
      with checkpoint.Checkpointer(folder, "rank1") as c:
        c.save(2, state, {}, None)
      with checkpoint.Checkpointer(folder, "rank1") as c:
        abstract = jax.eval_shape(init, jax.random.key(0))
        state = c.restore(abstract, sharding.replicated(mesh))
  return history, state


@pytest.mark.slow
def test_one_and_eight_devices():
  (one, state), (eight, other) = train(1), train(8)
  for a, b in zip(one, eight, strict=True):
    for key in a.keys() - {"active_triplets"}:
      np.testing.assert_allclose(
        b[key], a[key], rtol=1e-3, atol=1e-5, err_msg=key
      )
  leaves = (jax.tree.leaves(s.aids) for s in (state, other))
  for a, b in zip(*leaves, strict=True):
    np.testing.assert_allclose(b, a, rtol=1e-3, atol=1e-4)
    assert b.sharding.is_fully_replicated


@pytest.mark.slow
def test_terms_that_show_other_clips():
  history, state = train(8, steps=2, kind="views")
  # Also without a teacher's weight they depend on the student's parameters.
  for key in ("swap", "cross/a"):
    assert 0 < history[1][key] != history[0][key]
  plain, _ = train(1, steps=2)
  assert plain[0]["triplet"] == pytest.approx(history[0]["triplet"], rel=1e-4)
  assert state.params["stem"]["conv"]["kernel"].sharding.is_fully_replicated


def test_aids_are_restored_and_not_deployed(tmp_path):
  whole, state = train(1)
  resumed, other = train(1, folder=tmp_path / "checkpoints")
  assert whole == resumed
  jax.tree.map(np.testing.assert_array_equal, state.aids, other.aids)
  module = models.create_model(model())
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


def test_the_bank_is_off_until_a_quarter_is_filled_and_wraps():
  history, state = train(1)
  assert history[0]["bank/a"] == 0.0  # empty
  assert history[1]["bank/a"] > 0.0  # 16 of 40
  bank = state.aids["memory"]["bank/a"]
  assert int(bank.count) == 40 and int(bank.cursor) == 4 * 16 % 40


def test_a_connector_learns():
  _, state = train(1)
  _, other = train(1, steps=3)
  last, before = (
    s.aids["params"]["connectors"]["a"]["fc"]["kernel"] for s in (state, other)
  )
  assert last.shape == (4, 4, 6)
  assert np.abs(last - before).max() > 0
  assert "connectors" not in state.params
