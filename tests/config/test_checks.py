"""What cannot work, or does nothing, is named."""

import pytest

from gaitkd_jax import config as config_lib
from gaitkd_jax import distill
from gaitkd_jax import errors
from gaitkd_jax.training import optim
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
  with pytest.raises(errors.UserError) as caught:
    config_lib.check(config)
  text = str(caught.value)
  assert text.startswith("5 mistakes: (1) ")
  for words in (
    "train.steps is -1",
    "sampler is 'random'",
    "optim.learning_rate is nan",
    "seed is -1",
    "augment.flip is 2.0",
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
