"""What cannot work, or does nothing, is named."""

import pytest

from gaitkd_jax import config as config_lib
from gaitkd_jax import distill
from gaitkd_jax import errors
from gaitkd_jax.training import optim
from gaitkd_jax.training import step
from tests.helpers import configs


@pytest.mark.parametrize(
  "change, words",
  [
    ({"batch.identities": 3, "batch.sequences": 3}, "9 clips.*8 devices"),
    ({"batch.sampler": "random"}, "sampler is 'random'.*triplet, shuffled"),
    ({"train.steps": 0}, "train.steps is 0"),
    ({"train.eval_every": -1}, "train.eval_every is -1"),
    ({"train.skip_nonfinite": -1}, "train.skip_nonfinite is -1"),
    ({"dtype": "float16"}, "dtype"),
    ({"eval.map": "pca"}, "eval.map is 'pca'; give one of tsne, umap, ''"),
    ({"eval.saliency": -1}, "eval.saliency is -1"),
    ({"teachers.deepgaitv2.temperature": 0.0}, "temperature"),
    ({"model.in_channels": 2}, "in_channels of the student is 2"),
    ({"data.modalities": ("heatmaps",)}, "no silhouettes"),
    ({"data.modalities": ("silhouettes", "rgb")}, "modalities is 'rgb'"),
    ({"clip.kind": "fixed"}, "clip.kind is 'fixed'.*all_ordered"),
    ({"clip.frames": 0}, "clip.frames is 0"),
    ({"clip.skip": -1}, "clip.skip is -1"),
    ({"clip.min_frames": 10}, "min_frames is 10.*fixed_ordered use frames"),
    ({"clip.kind": "unfixed_ordered"}, "clip.max_frames is 0"),
    (
      {
        "clip.kind": "unfixed_ordered",
        "clip.min_frames": 9,
        "clip.max_frames": 8,
      },
      "min_frames is 9, above max_frames, 8",
    ),
    (
      {
        "clip.kind": "unfixed_unordered",
        "clip.min_frames": 4,
        "clip.max_frames": 8,
        "clip.frames": 10,
      },
      "clip.frames is 10.*min_frames, max_frames only",
    ),
    ({"clip.kind": "all_ordered"}, "clip.max_frames is 0"),
  ],
)
def test_check_finds_what_cannot_work(change, words):
  _, config = configs.load("casiab")
  config.update_from_flattened_dict(change)
  with pytest.raises(errors.UserError, match=words):
    config_lib.check(config)
    config_lib.check_batch(config, num_devices=8)


@pytest.mark.parametrize(
  "change, words",
  [
    ({"weights": 1}, "weights is 1; give one of 0, 2, 3, 4, 5, 6, 7, 8"),
    ({"activations": 9}, "activations is 9; give one of 0, 2,"),
    ({"weights": -4}, "weights is -4"),
    ({"rounding": "hard"}, "rounding is 'hard'; give one of ste, soft, ewgs"),
    ({"scales": "fixed"}, "scales is 'fixed'; give one of learned, observed"),
    ({"observer": "mean"}, "observer is 'mean'; give one of maximum, perc"),
    ({"range": "whole"}, "range is 'whole'; give one of full, half"),
    ({"forward": "ste"}, "forward is 'ste'; give one of hard, soft"),
    ({"forward": "soft"}, "forward is soft, and rounding ste has no soft"),
    (
      {"forward": "soft", "rounding": "ewgs"},
      "rounding ewgs has no soft values; give rounding soft or dsq, or",
    ),
    ({"batches": 0}, "batches is 0; give at least 1"),
    ({"batches": -2}, "batches is -2; give at least 1"),
    ({"ewgs_delta": -0.1}, "ewgs_delta is -0.1; give at least 0"),
    ({"scale_rate": -1.0}, "scale_rate is -1.0; give at least 0"),
    ({"rounding_from": -1}, "rounding_from is -1; give at least 0"),
    ({"hold_norms_from": -1}, "hold_norms_from is -1; give at least 0"),
    ({"freeze_scales_from": -1}, "freeze_scales_from is -1; give at least 0"),
    ({"sharpness.value": -2.0}, "sharpness has a value of -2.0; give 0"),
    ({"sharpness.value": float("nan")}, "sharpness.value is nan"),
    ({"scale_rate": float("nan")}, "scale_rate is nan"),
  ],
)
@pytest.mark.parametrize("variant", ["gait3d_w4a4", "float"])
def test_values_of_a_quantisation_that_cannot_work(change, words, variant):
  """Also where the network is float so far."""
  name = "casiab" if variant == "float" else "qgait"
  _, config = configs.load(name, "" if variant == "float" else variant)
  # The stages of a recipe begin at one step, and would change together.
  config = config.copy_and_resolve_references()
  config.quantization.sharpness = dict(kind="constant", value=4.0)
  if variant == "gait3d_w4a4":
    config.quantization.rounding = "ste"
  config_lib.check(config)
  config.update_from_flattened_dict(
    {f"quantization.{key}": value for key, value in change.items()}
  )
  with pytest.raises(errors.UserError, match="config.quantization") as caught:
    config_lib.check(config)
  text = str(caught.value)
  assert words in text
  assert "\n" not in text and "mistakes" not in text


def test_a_sharpness_without_its_keys_is_told():
  _, config = configs.load("qgait", "gait3d_w4a4")
  for wrong in (
    dict(kind="ramp", start=2.0, end=8.0, steps=9),
    dict(kind="ramp", start=2.0, end=8.0, begin=9, steps=9),
    dict(kind="ramp", start=2.0, end=8.0, begin=-1, steps=9),
    dict(kind="linear", start=-2.0, end=8.0, steps=9),
    dict(kind="drop", value=-2.0, at=3, gamma=0.5),
    "soft",
  ):
    del config.quantization.sharpness
    config.quantization.sharpness = wrong
    with pytest.raises(errors.UserError, match="config.quantization.sharpness"):
      config_lib.check(config)
      step.create_phase(config.quantization)


@pytest.mark.parametrize("variant", configs.module("qgait").VARIANTS)
def test_recipes_of_quantised_networks_can_work(variant):
  _, config = configs.load("qgait", variant)
  config_lib.check(config)
  assert step.create_phase(config.quantization)


@pytest.mark.parametrize("whose", ["the student", "plain", "cached"])
def test_frames_of_another_size(whose):
  _, config = configs.load("casiab")
  plain = config_lib.gaitbase_plain(channels=(8,) * 4, halvings=3)
  if whose == "the student":
    config.model = plain
  else:
    # The outputs of a cached teacher were made elsewhere, of any frames.
    cache = "x" if whose == "cached" else ""
    config.teachers[whose] = config_lib.teacher(plain, cache=cache)
  if whose == "cached":
    return config_lib.check_batch(config, num_devices=8)
  words = f"{whose} takes frames of 128 x 88 pixels, but all data have 64 x 44"
  with pytest.raises(errors.UserError, match=words):
    config_lib.check_batch(config, num_devices=8)


@pytest.mark.parametrize(
  "section",
  [
    "augment",
    "batch",
    "clip",
    "data",
    "eval",
    "eval.data",
    "losses",
    "losses.triplet",
    "optim",
    "teachers.deepgaitv2",
    "train",
  ],
)
def test_a_wrong_key_of_a_config_file_is_named(section):
  _, config = configs.load("recorded_walks")
  config_lib.check(config)
  values = config
  for name in section.split("."):
    values = values[name]
  first = next(iter(values))
  with pytest.raises(errors.UserError, match=f"{section} has no key wait"):
    values.wait = 1.0
    config_lib.check(config)
  del values.wait
  del values[first]
  with pytest.raises(
    errors.UserError, match=f"{section} lacks the key {first}"
  ):
    config_lib.check(config)


def test_a_wrong_key_of_a_schedule_is_named():
  _, config = configs.load("casiab")
  config.optim.schedule.gama = 0.5
  with pytest.raises(errors.UserError, match="optim.schedule.*gama"):
    optim.create_optimizer(config.optim)
  config.teachers.deepgaitv2 = config_lib.teacher(
    config_lib.deepgaitv2(), temperature=dict(kind="linear", start=1.0)
  )
  with pytest.raises(errors.UserError, match="teachers.deepgaitv2.temperature"):
    distill.create_teachers(config.teachers)


def test_an_unknown_key_cannot_be_set():
  _, config = configs.load("casiab")
  config.lock()
  with pytest.raises(AttributeError):
    config.optim.learning_rat = 1.0


def test_all_mistakes_are_told_at_once():
  _, config = configs.load("casiab")
  config.train.steps = -1
  config.batch.sampler = "random"
  config.optim.learning_rate = float("nan")
  config.seed = -1
  config.augment.flip = 2.0
  config.quantization.weights = 1
  config.quantization.scales = "fixed"
  with pytest.raises(errors.UserError) as caught:
    config_lib.check(config)
  text = str(caught.value)
  assert text.startswith("7 mistakes: (1) ")
  for words in (
    "train.steps is -1",
    "sampler is 'random'",
    "optim.learning_rate is nan",
    "seed is -1",
    "augment.flip is 2.0",
    "quantization.weights is 1",
    "quantization.scales is 'fixed'",
  ):
    assert words in text


def test_keys_that_are_missing_are_told_before_values():
  _, config = configs.load("casiab")
  del config.losses
  del config.train
  config.train = 3
  config.dtype = "float17"
  with pytest.raises(errors.UserError) as caught:
    config_lib.check(config)
  assert "config lacks the key losses" in str(caught.value)
  assert "config.train is 3; it is a section" in str(caught.value)
  assert "float17" not in str(caught.value)
