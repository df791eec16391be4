"""Programs of a config, as shapes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import config as config_lib
from gaitkd_jax import cost
from gaitkd_jax import errors
from gaitkd_jax import sharding
from gaitkd_jax.training import optim
from gaitkd_jax.training import programs
from gaitkd_jax.training import run as run_lib
from tests.helpers import configs
from tests.helpers import distillation
from tests.parity import vectors


def made(name="casiab", devices=2, **changes):
  """The programs of a trial, of the smallest batch."""
  config = configs.load(name, "smoke")[1]
  config.update_from_flattened_dict(changes)
  return programs.create(config, sharding.create_mesh(devices))


def shapes(tree):
  return jax.tree.map(lambda x: (x.shape, x.dtype), tree)


@pytest.mark.parametrize(
  "clip",
  [
    config_lib.clip("fixed_ordered", frames=6, skip=2),
    config_lib.clip("unfixed_ordered", min_frames=6, max_frames=6, skip=2),
  ],
  ids=lambda clip: clip.kind,
)
def test_a_batch_has_the_shapes_of_training(prepared, tmp_path, clip):
  config = configs.load("walkers_teacher_maps", "smoke")[1]
  config.data.prepared = str(prepared)
  config.clip = clip
  run = run_lib.prepare(config, tmp_path)
  with run.batches(0) as batches:
    batch = next(batches)
  found = programs.create(config, run.mesh).train_batch()
  assert {"silhouettes", "heatmaps", "labels"} <= found.keys()
  assert ("lengths" in found) == ("unfixed" in clip.kind)
  assert found.keys() == batch.keys()
  assert shapes(found) == shapes({key: batch[key] for key in found})


@pytest.mark.parametrize("rounding", ["ste", "soft"])
def test_a_quantised_step_is_in_the_phase_of_its_config(rounding):
  changes = {"quantization.weights": 4, "quantization.rounding": rounding}
  found = made("walkers_baseline", devices=1, **changes)
  text = found.train_step.lower(*found.train_arguments()).as_text()
  assert ("tanh" in text) == (rounding == "soft")


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_what_quantisers_learn_has_its_own_rate(rate):
  changes = {"quantization.weights": 4, "quantization.scale_rate": rate}
  found = made("walkers_baseline", devices=1, **changes)
  text = str(jax.make_jaxpr(found.train_step)(*found.train_arguments()))
  assert ("0.0015" in text) == (rate == 0.5)


def test_a_step_leads_from_a_state_to_one_like_it():
  found = made()
  state, frozen, batch = found.train_arguments()
  assert frozen.keys() == {"deepgaitv2"}
  after, metrics = jax.eval_shape(found.train_step, state, frozen, batch)
  assert shapes(after) == shapes(state)
  assert metrics["loss"].shape == ()
  # As make_train_step places them.
  assert state.step.sharding == sharding.replicated(found.mesh)
  assert batch["labels"].sharding == sharding.by_sequence(found.mesh)


def test_whole_sequences_are_embedded():
  found = made()
  variables, batch = found.embed_arguments(4, 9)
  assert batch["silhouettes"].shape == (4, 9, 64, 44)
  embedding, index, mask = jax.eval_shape(found.embed_step, variables, batch)
  assert (embedding.shape[0], embedding.dtype) == (4, jnp.float32)
  assert (index.dtype, mask.dtype) == (jnp.int32, jnp.bool_)


@pytest.mark.parametrize("logits, keys", [(0, 3), (5, 5)])
def test_cached_teachers_are_not_run(logits, keys):
  found = made(
    **{"teachers.deepgaitv2.cache": "somewhere", "cache.logits": logits}
  )
  assert not found.run_teachers
  state, frozen, batch = found.train_arguments()
  assert not frozen
  stored = [key for key in batch if key.startswith("teacher_outputs/")]
  assert len(stored) == keys
  jax.eval_shape(found.train_step, state, frozen, batch)


def test_a_backward_pass_counts_as_two_forward_ones():
  found = made()
  step, forward = found.flop(4, 10)
  student = cost.gmac_per_frame(found.student)
  teacher = cost.gmac_per_frame(found.teachers["deepgaitv2"].module)
  assert forward == pytest.approx(2e9 * 40 * student)
  assert step == pytest.approx(2e9 * 40 * (3 * student + teacher))


def test_a_batch_that_devices_cannot_share_is_refused():
  with pytest.raises(errors.UserError, match="8 clips.*3 devices"):
    made(devices=3)


@pytest.mark.parametrize(
  "name, variant, frames",
  [("gaitbase", "casiab", 30), ("gaitbase", "grew", 40)],
)
def test_frames_of_a_clip_are_its_most(name, variant, frames):
  config = configs.load(name, variant)[1]
  assert programs.clip_frames(config.clip) == frames


@pytest.mark.slow
def test_frozen_stages_change_nothing_but_the_work(monkeypatch):
  """A fine-tuning step with their gradients, and without."""
  batch = {k: v[:8] for k, v in distillation.batch(0).items()}
  changes = {"dtype": "float32", "model.bins": (4, 1)}
  found, start = [], None
  for hold in (optim.hold, lambda *_: None):
    monkeypatch.setattr(optim, "hold", hold)
    program = made("foundationgait", devices=1, **changes)
    start = start or program.init_state(jax.random.key(0))
    state = jax.tree.map(jnp.copy, start)  # the step donates it
    state, metrics = program.train_step(state, {}, batch)
    found.append((vectors.flat(state.params), jax.device_get(metrics)))
  (held, metrics), (free, all_metrics) = found
  np.testing.assert_allclose(metrics["loss"], all_metrics["loss"], rtol=1e-5)
  assert metrics["gradient_norm"] < all_metrics["gradient_norm"]
  before = vectors.flat(start.params)
  for path, value in free.items():
    moved = np.linalg.norm(value - before[path])
    # Rounding, of small updates too: values are of size 1.
    off = np.linalg.norm(held[path] - value)
    assert off <= 1e-2 * moved + 1e-7 * np.sqrt(value.size), path
    frozen = path.startswith(("stem", "stage1", "stage2"))
    assert (moved == 0) == frozen, path
