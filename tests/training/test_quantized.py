"""Training of quantised networks: two stages, steps, and where they start."""

import functools
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import checkpoint
from gaitkd_jax import checkpointer as checkpointer_lib
from gaitkd_jax import config as config_lib
from gaitkd_jax import distill
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import quantize
from gaitkd_jax import sharding
from gaitkd_jax.evaluation import embed
from gaitkd_jax.hosts import stopping
from gaitkd_jax.quantize import calibration
from gaitkd_jax.training import basis
from gaitkd_jax.training import loop
from gaitkd_jax.training import optim
from gaitkd_jax.training import run as run_lib
from gaitkd_jax.training import step
from tests.helpers import configs
from tests.helpers import distillation as helpers
from tests.helpers import mistakes
from tests.helpers import quantized
from tests.helpers import untrained

# Steps whose number is at least these are of the second stage, and of its end.
SECOND, FROZEN, STEPS = 2, 4, 6
STAGES = dict(
  rounding="soft",
  rounding_from=SECOND,
  hold_norms_from=SECOND,
  freeze_scales_from=FROZEN,
  sharpness=dict(kind="ramp", start=2.0, end=8.0, begin=SECOND, steps=STEPS),
)


def optimizer_of(module, section, **changes):
  return optim.create_optimizer(helpers.SGD | changes, module, section)


@functools.cache
def program(num_devices=1, dtype="float32", learning_rate=1e-2, **changes):
  """A small network: mesh, state of step 0, its shapes, and the step."""
  section = quantized.section(**STAGES | changes)
  module = models.create_model(helpers.model(), dtype, section)
  optimizer, schedule = optimizer_of(
    module, section, learning_rate=learning_rate
  )
  mesh = sharding.create_mesh(num_devices)
  init = step.make_init(module, optimizer, mesh)
  state = init(jax.random.key(0))
  batch = sharding.put_batch(helpers.batch(0), mesh)
  found = calibration.observe(module, state.variables, [batch], mesh)
  state = state.replace(**calibration.with_steps(state.variables, found))
  train_step = step.make_train_step(
    module,
    optimizer,
    schedule,
    helpers.LOSSES,
    distill.Objective({}),
    mesh,
    phase=step.create_phase(section),
  )
  abstract = jax.eval_shape(init, jax.random.key(0))
  return mesh, jax.device_get(state), abstract, train_step


@functools.cache
def train(folder=None, saved=0, **options):
  """A few steps; with a folder, saved and restored.

  Args:
    folder: of the checkpoint.
    saved: after how many steps.
    **options: see `program`.

  Returns:
    The states before, between and after the steps; the metrics of each step;
    and how many programs were compiled.
  """
  # Named, so that it is one program whether it is given or not.
  options = {"scales": "learned"} | options
  mesh, state, abstract, train_step = program(**options)
  states, history = [state], []
  state = jax.device_put(state, sharding.replicated(mesh))
  for i in range(STEPS):
    batch = sharding.put_batch(helpers.batch(i), mesh)
    state, metrics = train_step(state, {}, batch)
    states.append(jax.device_get(state))
    history.append({k: float(v) for k, v in metrics.items()})
    if folder and i + 1 == saved:
      with checkpointer_lib.Checkpointer(folder, "rank1") as c:
        c.save(saved, state, {}, None)
      with checkpointer_lib.Checkpointer(folder, "rank1") as c:
        state = c.restore(abstract, sharding.replicated(mesh))
  return states, history, train_step._cache_size()


def flat(tree):
  """Arrays by their path, such as "stem/norm/mean"."""
  return {
    jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
    for path, leaf in jax.tree.leaves_with_path(tree)
  }


def moves(states, of, i):
  """Whether each array differs before and after step i."""
  before, after = (flat(getattr(states[k], of)) for k in (i, i + 1))
  return {name: (before[name] != after[name]).any() for name in before}


@pytest.mark.slow
def test_both_stages_are_one_program():
  states, history, programs = train()
  assert programs == 1
  assert all(np.isfinite(list(row.values())).all() for row in history)
  assert int(states[-1].step) == STEPS


@pytest.mark.slow
def test_learned_steps_move_until_they_are_frozen():
  states, _, _ = train()
  for i in range(STEPS):
    moved = moves(states, "params", i)
    steps = {name: m for name, m in moved.items() if "step_size" in name}
    assert len(steps) == 18
    if i < FROZEN:
      assert all(steps.values()), (i, steps)
    else:
      assert not any(steps.values()), (i, steps)
    kernels = [m for name, m in moved.items() if name.endswith("kernel")]
    assert all(kernels)


@pytest.mark.slow
def test_observed_steps_move_until_they_are_frozen():
  states, _, _ = train(scales="observed")
  for i in range(STEPS):
    moved = moves(states, "batch_stats", i)
    steps = {name: m for name, m in moved.items() if "step_size" in name}
    assert steps and set(steps.values()) == {i < FROZEN}, (i, steps)


@pytest.mark.slow
@pytest.mark.parametrize("scales", ["learned", "observed"])
def test_normalisations_of_convolutions_hold_in_the_second_stage(scales):
  states, _, _ = train(scales=scales)
  for i in range(STEPS):
    moved = moves(states, "batch_stats", i)
    held = {n: m for n, m in moved.items() if "/norm/" in n}
    assert held and set(held.values()) == {i < SECOND}, (i, held)
    # The neck is float, and no convolution's.
    assert moved["neck/bn/mean"] and moved["neck/bn/var"]


@pytest.mark.slow
def test_the_second_stage_learns_by_another_derivative():
  _, history, _ = train()
  _, plain, _ = train(rounding="ste")
  for i in range(SECOND):
    assert history[i] == plain[i]
  # Values are the same, gradients are not.
  assert history[SECOND]["loss"] == plain[SECOND]["loss"]
  assert history[SECOND]["gradient_norm"] != plain[SECOND]["gradient_norm"]


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_steps_learn_at_their_own_rate_and_do_not_decay(name):
  section = quantized.section(
    scale_rate=0.125, freeze_scales_from=3, rounding="dsq"
  )
  module = models.create_model(helpers.model(), quantization=section)
  optimizer, _ = optimizer_of(
    module, section, name=name, learning_rate=0.5, weight_decay=0.25
  )
  abstract = models.abstract_variables(module)["params"]
  params = jax.tree.map(lambda x: jnp.ones(x.shape), abstract)
  update = jax.jit(optimizer.update)
  state = optimizer.init(params)
  updates, _ = update(jax.tree.map(jnp.zeros_like, params), state, params)
  learned = {"step_size", "dsq_alpha"}
  for path, values in flat(updates).items():
    if path.split("/")[-1] in learned:
      assert (values == 0).all(), path
    else:
      assert (values < 0).all(), path
  optimizer, _ = optimizer_of(
    module, section, name=name, learning_rate=0.5, weight_decay=0.0
  )
  update = jax.jit(optimizer.update)
  state = optimizer.init(params)
  for i in range(5):
    gradients = jax.tree.map(jnp.ones_like, params)
    updates, state = update(gradients, state, params)
    found = flat(updates)
    steps = found["stem/weights/step_size"]
    alpha = found["stem/weights/dsq_alpha"]
    kernel = found["stem/kernel"].ravel()[0]
    assert kernel < 0
    share = 0.125 if i < 3 else 0.0
    np.testing.assert_array_equal(steps, np.full(2, np.float32(share * kernel)))
    assert alpha == np.float32(share * kernel)


def test_a_float_network_has_no_groups_of_steps():
  section = quantized.section(0, 0, scale_rate=0.5)
  module = models.create_model(helpers.model(), quantization=section)
  found, wanted = (
    optim.create_optimizer(helpers.SGD, module, options)[0]
    for options in (section, None)
  )
  params = jax.tree.map(
    lambda x: jnp.ones(x.shape), models.abstract_variables(module)["params"]
  )
  assert jax.tree.structure(found.init(params)) == jax.tree.structure(
    wanted.init(params)
  )


@pytest.mark.slow
@pytest.mark.parametrize("scales", ["learned", "observed"])
def test_eight_devices_equal_one(scales):
  """In both stages, until rounding moves a value over the middle of a cell.

  Measured, learned: losses of the first three steps differ by up to 1e-6, that
  of the fourth, behind a code that differs, by 9e-4, of the sixth by 4e-2.
  """
  options = dict(learning_rate=1e-5, scales=scales)
  one, history, _ = train(**options)
  eight, others, _ = train(num_devices=8, **options)
  alike = SECOND + 1
  for a, b in list(zip(history, others, strict=True))[:alike]:
    for key in ("loss", "triplet", "cross_entropy"):
      # 1.1e-5 was seen on a processor with AVX2 alone.
      np.testing.assert_allclose(b[key], a[key], rtol=3e-5, err_msg=key)
  for a, b in list(zip(one, eight, strict=True))[:alike]:
    steps, other = (
      {n: x for n, x in flat(s.variables).items() if "step_size" in n}
      for s in (a, b)
    )
    assert len(steps) == (18 if scales == "learned" else 10)
    for name, value in steps.items():
      np.testing.assert_allclose(other[name], value, rtol=1e-4, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(
  "scales, saved", [("learned", 1), ("learned", 3), ("observed", 5)]
)
def test_a_run_goes_on_bit_for_bit_in_either_stage(scales, saved, tmp_path):
  whole, history, _ = train(scales=scales)
  again, rows, _ = train(scales=scales, folder=tmp_path, saved=saved)
  assert rows == history
  for name, array in flat(whole[-1]).items():
    np.testing.assert_array_equal(flat(again[-1])[name], array, name)


@pytest.mark.slow
def test_a_stopped_program_goes_on_bit_for_bit(
  prepared, tmp_path, monkeypatch, capsys
):
  """The whole of it, stopped in the first and in the second stage."""
  stages = {
    "rounding": "soft",
    "rounding_from": 2,
    "hold_norms_from": 2,
    "freeze_scales_from": 3,
  }
  config = recipe(
    prepared, **{f"quantization.{key}": value for key, value in stages.items()}
  )
  whole, stopped = tmp_path / "whole", tmp_path / "stopped"
  results = loop.train_and_evaluate(config, whole)
  assert "W4A4: steps of" in capsys.readouterr().out
  asked = iter([])
  real = stopping.reached

  def reached():
    if next(asked, False):
      os.kill(os.getpid(), signal.SIGTERM)
    return real()

  monkeypatch.setattr(stopping, "reached", reached)
  for polls in ([True], [False, True]):  # after steps 1 and 3
    asked = iter(polls)
    with pytest.raises(errors.Stopped):
      loop.train_and_evaluate(config, stopped)
  asked = iter([])
  assert loop.train_and_evaluate(config, stopped) == results
  # Steps were observed once.
  text = capsys.readouterr().out
  assert text.count("W4A4: steps of") == 1
  assert text.count("resumed from") == 2 and "settings differ" not in text
  a, b = (checkpoint.read_arrays(w) for w in (whole, stopped))
  assert a.keys() == b.keys() and any("step_size" in key for key in a)
  for key, array in a.items():
    np.testing.assert_array_equal(array, b[key], key)
  assert checkpoint.restored_meta(stopped)["quantization"] == (
    quantized.settings().form
  )


@pytest.mark.slow
def test_bfloat16_is_close_and_keeps_float32_steps():
  _, exact, _ = train(scales="learned")
  states, rough, _ = train(scales="learned", dtype="bfloat16")
  assert all(np.isfinite(list(row.values())).all() for row in rough)
  assert rough[0]["loss"] != exact[0]["loss"]
  # Some codes of so narrow a network differ: 8 % of the loss, observed.
  np.testing.assert_allclose(rough[0]["loss"], exact[0]["loss"], rtol=0.15)
  kinds = {x.dtype for x in jax.tree.leaves(states[-1].variables)}
  assert kinds == {np.dtype("float32")}


@pytest.mark.slow
@pytest.mark.parametrize("rounding", ["ewgs", "dsq"])
def test_other_roundings_train(rounding):
  states, history, programs = train(rounding=rounding)
  assert programs == 1
  assert all(np.isfinite(list(row.values())).all() for row in history)
  if rounding == "dsq":
    moved = [
      {n: m for n, m in moves(states, "params", i).items() if "alpha" in n}
      for i in range(STEPS)
    ]
    # Before its step the rounding is straight-through, and has no alpha.
    assert not any(moved[0].values()) and any(moved[SECOND].values())
    assert not any(moved[FROZEN].values())


def test_what_only_training_needs_is_float():
  """Connectors to a teacher's width, as the neck is."""
  student = models.create_model(
    helpers.model(), quantization=quantized.section()
  )
  wide = dict(model=helpers.model(embedding_dim=6), connector=True)
  objective = distill.create_objective(student, helpers.make_teachers(a=wide))
  aux = jax.eval_shape(objective.init_aux, jax.random.key(0))
  assert aux["params"] and not quantized.steps_of(aux["params"])
  steps = quantized.steps_of(models.abstract_variables(student)["params"])
  assert steps and not any(path.startswith("neck") for path in steps)


def test_a_phase_follows_the_step():
  phase = step.create_phase(quantized.section(**STAGES))
  for i, (second, frozen, sharpness) in enumerate(
    [(0, 0, 2), (0, 0, 2), (1, 0, 2), (1, 0, 3.5), (1, 1, 5), (1, 1, 6.5)]
  ):
    found = phase(jnp.asarray(i))
    assert found.rounds == found.holds == bool(second)
    assert found.freezes == bool(frozen)
    np.testing.assert_allclose(found.sharpness, sharpness)
  never = step.create_phase(quantized.section())(jnp.asarray(5))
  assert never.rounds and never.holds is never.freezes is None
  assert step.create_phase(quantized.section(0, 0)) is None


# Where steps come from.


def recipe(prepared, **changes):
  """A quantised recipe of the embedded data, or a float one (weights=0)."""
  return configs.smoke_config(
    prepared,
    "walkers_baseline",
    **{
      "quantization.weights": 4,
      "quantization.activations": 4,
      "quantization.batches": 2,
      "eval.verification": False,
      "eval.report": False,
    }
    | changes,
  )


def saved(folder, config, scale=1.0):
  """A checkpoint of a network that was never trained, all steps `scale`."""
  module = models.create_model(config.model, quantization=config.quantization)
  shapes = models.abstract_variables(module)
  variables = jax.tree.map_with_path(
    lambda path, x: np.full(
      x.shape, scale if path[-1].key == "step_size" else 0.5, np.float32
    ),
    shapes,
  )
  form = module.quantization.form if module.quantization else {}
  meta = {"model": config.model.to_dict(), "quantization": form}
  checkpoint.save_model(folder / "checkpoints", variables, meta, step=2)
  return folder


FLOAT = {"quantization.weights": 0, "quantization.activations": 0}
EIGHT = {"quantization.weights": 8, "quantization.activations": 8}


@pytest.mark.slow
def test_where_steps_start(prepared, tmp_path, capsys):
  """Observed, unless the first checkpoint has all of the same form."""
  plain = saved(tmp_path / "float", recipe(prepared, **FLOAT))
  same = saved(tmp_path / "same", recipe(prepared), 0.25)
  other = saved(tmp_path / "other", recipe(prepared, **EIGHT), 0.25)

  def start(path, **changes):
    config = recipe(prepared, **{"train.init_from": str(path)} | changes)
    run = run_lib.prepare(config, tmp_path / "run")
    with checkpointer_lib.Checkpointer(tmp_path / "none", "rank1") as c:
      state = loop.initial_state(run, c)
    return run, state, capsys.readouterr().out

  run, state, text = start(plain)
  found = quantized.steps_of(state.params)
  assert f"W4A4: steps of {len(found)} quantisers from 2 batches" in text
  with run.batches(0) as batches:
    shown = [sharding.put_batch(next(batches), run.mesh) for _ in range(2)]
  wanted = calibration.observe(run.student, state.variables, shown, run.mesh)
  wanted = quantized.steps_of(wanted)
  assert wanted.keys() == found.keys()
  for name, value in wanted.items():
    np.testing.assert_allclose(found[name], value, rtol=1e-6)
    assert (np.asarray(value) != 1).any()
  assert quantized.steps_of(start(other)[1].params).keys() == found.keys()
  for name, value in quantized.steps_of(start(other)[1].params).items():
    np.testing.assert_array_equal(value, found[name])
  _, state, text = start(same)
  assert "quantisers from" not in text
  for value in quantized.steps_of(state.params).values():
    np.testing.assert_array_equal(value, np.full_like(value, 0.25))
  # Of the same bits, but of a network that lacks some layers.
  wide = recipe(prepared, **{"model.blocks": (1, 1, 1, 2)})
  _, state, text = start(same, **{"model.blocks": wide.model.blocks})
  assert "quantisers from 2 batches" in text
  for name, value in quantized.steps_of(state.params).items():
    assert (np.asarray(value) != 1).all(), name


def test_observed_steps_are_the_mean_over_batches():
  module = models.create_model(
    helpers.model(), quantization=quantized.section(observer="maximum")
  )
  mesh = sharding.create_mesh(1)
  variables = quantized.initial(module)
  batches = [sharding.put_batch(helpers.batch(i), mesh) for i in range(2)]
  one, two, both = (
    quantized.steps_of(calibration.observe(module, variables, some, mesh))
    for some in (batches[:1], batches[1:], batches)
  )
  for name, value in both.items():
    np.testing.assert_allclose(value, (one[name] + two[name]) / 2, rtol=1e-6)
  assert any((one[name] != two[name]).any() for name in one)
  kernel = np.asarray(variables["params"]["stem"]["kernel"])
  np.testing.assert_allclose(
    both["stem/weights"], np.abs(kernel).max((0, 1, 2)) / 127, rtol=1e-6
  )


# What does not fit is told.


FORMS = {"float": FLOAT, "W4A4": {}, "W8A8": EIGHT}
PAIRS = [(a, b) for a in FORMS for b in FORMS if a != b]


@pytest.fixture(scope="module")
def workdirs(prepared, tmp_path_factory):
  """A run in each form."""
  folder = tmp_path_factory.mktemp("forms")
  return {
    name: saved(folder / name, recipe(prepared, **changes))
    for name, changes in FORMS.items()
  }


@pytest.mark.parametrize("then, now", PAIRS)
def test_an_evaluation_in_other_bits_is_refused(prepared, workdirs, then, now):
  mesh = sharding.create_mesh()
  place = workdirs[then]
  for config, workdir in (
    (recipe(prepared, **FORMS[now]), place),
    (
      recipe(prepared, **FORMS[now] | {"eval.checkpoint": str(place)}),
      place.parent / "elsewhere",
    ),
  ):
    text = mistakes.message(embed.restore, config, workdir, mesh)
    assert f"{place}/checkpoints/2 is {then}" in text
    assert f"config.quantization asks for {now}" in text
    bits = {"float": 0, "W4A4": 4, "W8A8": 8}[then]
    assert f"--config.quantization.weights={bits}" in text
    assert f"--config.quantization.activations={bits}" in text
    assert ("train.init_from" in text) == (then == "float")


@pytest.mark.parametrize("then, now", PAIRS)
def test_a_run_in_other_bits_does_not_go_on(prepared, workdirs, then, now):
  text = mistakes.message(
    basis.check_config, recipe(prepared, **FORMS[now]), workdirs[then]
  )
  assert f"{workdirs[then]}/checkpoints/2 is {then}" in text
  assert f"config.quantization asks for {now}" in text
  assert "give another --workdir" in text
  # A quantised network may start from any other; a float one may not.
  assert (f"train.init_from={workdirs[then]}" in text) == (now != "float")
  assert ("--config.quantization.weights" in text) == (now == "float")


@pytest.mark.parametrize("form", FORMS)
def test_a_run_in_the_same_bits_goes_on(prepared, workdirs, form):
  config = recipe(prepared, **FORMS[form])
  basis.check_config(config, workdirs[form])
  module, _, _ = embed.restore(config, workdirs[form], sharding.create_mesh())
  assert (module.quantization.name if module.quantization else "float") == form


@pytest.mark.parametrize(
  "key, value", [("range", "half"), ("scales", "observed")]
)
def test_a_form_is_more_than_bits(prepared, workdirs, key, value):
  config = recipe(prepared, **{f"quantization.{key}": value})
  for refused in (
    lambda: basis.check_config(config, workdirs["W4A4"]),
    lambda: embed.restore(config, workdirs["W4A4"], sharding.create_mesh()),
  ):
    text = mistakes.message(refused)
    assert f"{key} {value}" in text
    stored = {"range": "full", "scales": "learned"}[key]
    assert f"{key} {stored}" in text


def test_a_float_network_does_not_start_from_a_quantised_one(
  prepared, workdirs
):
  module = models.create_model(recipe(prepared, **FLOAT).model)
  mesh = sharding.create_mesh()
  optimizer, _ = optim.create_optimizer(helpers.SGD, module)
  state = jax.eval_shape(
    step.make_init(module, optimizer, mesh), jax.random.key(0)
  )
  text = mistakes.message(
    loop.start_from,
    str(workdirs["W4A4"]),
    state,
    sharding.replicated(mesh),
    module,
  )
  assert "is W4A4 (" in text and "asks for float" in text
  assert "--config.quantization.weights=4" in text


def test_a_quantised_teacher_is_refused(prepared, workdirs):
  config = untrained.changed(recipe(prepared, **FLOAT))
  with config.unlocked():
    config.teachers.float = config_lib.teacher(
      config.model.copy_and_resolve_references(), str(workdirs["W8A8"])
    )
  teachers = distill.create_teachers(config.teachers)
  mesh = sharding.create_mesh()
  text = mistakes.message(distill.restore_teachers, config, teachers, mesh)
  assert "teacher float is W8A8 (" in text and "teachers are float" in text
  assert "--config.teachers.float.checkpoint" in text
  assert "config.quantization" not in text
  with config.unlocked():
    config.teachers.float.checkpoint = str(workdirs["float"])
  assert "float" in distill.restore_teachers(config, teachers, mesh)


def test_checkpoints_from_before_are_float(prepared, tmp_path):
  config = recipe(prepared, **FLOAT)
  module = models.create_model(config.model)
  variables = jax.tree.map(
    lambda x: np.ones(x.shape, np.float32), models.abstract_variables(module)
  )
  checkpoint.save_model(tmp_path / "checkpoints", variables, {}, step=2)
  embed.restore(config, tmp_path, sharding.create_mesh())
  basis.check_config(config, tmp_path)
  text = mistakes.message(
    embed.restore, recipe(prepared), tmp_path, sharding.create_mesh()
  )
  assert "is float, and config.quantization asks for W4A4" in text


def test_forms_in_words():
  form = quantized.settings(4, 0).form
  assert quantize.describe(form) == "W4Afloat (range full, scales learned)"
  assert quantize.describe(None) == quantize.describe({}) == "float"
