"""Every config: its resolved values, and that a typo is an error."""

import json
import os

import jax
import pytest

from gaitkd_jax import config as config_lib
from gaitkd_jax import distill
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax.training import optim
from tests.helpers import configs
from tests.helpers import paths

NAMES = sorted(p.stem for p in (paths.ROOT / "configs").glob("*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_golden(name):
  _, config = configs.load(name)
  module = models.create_model(config.model)
  params = models.abstract_variables(module)["params"]
  text = json.dumps(
    config.to_dict()
    | {"(parameters)": sum(x.size for x in jax.tree.leaves(params))},
    indent=1,
    sort_keys=True,
  ).replace(str(paths.ROOT), ".")
  golden = paths.ROOT / "tests" / "golden" / f"{name}.json"
  if os.environ.get("UPDATE_GOLDEN"):
    golden.parent.mkdir(exist_ok=True)
    golden.write_text(text + "\n")
  assert golden.read_text() == text + "\n", (
    "the recipe changed; if that is meant, run UPDATE_GOLDEN=1 pytest "
    "tests/test_configs.py and commit the difference"
  )


@pytest.mark.parametrize("variant", ["", "smoke"])
@pytest.mark.parametrize("name", NAMES)
def test_every_part_can_be_built(name, variant):
  module, config = configs.load(name, variant)
  assert f"configs/{name}.py" in module.__doc__
  assert "To expect" in module.__doc__ or "to expect" in module.__doc__
  config_lib.check(config)
  config_lib.check_batch(config, num_devices=8)
  student = models.create_model(config.model)
  teachers = distill.create_teachers(config.teachers)
  distill.check_compatible(student, config.model.name, teachers)
  _, schedule = optim.create_optimizer(config.optim)
  last = configs.load(name)[1].train.steps - 1
  assert schedule(last) < config.optim.learning_rate


@pytest.mark.parametrize("name", ["gait3d", "ccpg", "sustech1k"])
def test_the_baseline_is_the_student_alone(name):
  _, config = configs.load(name)
  _, baseline = configs.load(name, "baseline")
  assert list(config.teachers) == ["deepgaitv2"]
  assert config.to_dict() | {"teachers": {}} == baseline.to_dict()
  _, teacher = configs.load(f"deepgaitv2_{name}")
  assert config.teachers.deepgaitv2.model.to_dict() == teacher.model.to_dict()


def test_the_second_teacher_brings_heat_maps():
  _, config = configs.load("gait3d", "skeletongaitpp")
  config_lib.check(config)
  assert config.data.modalities == ("silhouettes", "heatmaps")
  teachers = distill.create_teachers(config.teachers)
  assert {t.module.num_classes for t in teachers.values()} == {3000}
  student = models.create_model(config.model)
  distill.check_compatible(student, config.model.name, teachers)


def test_onecycle_follows_the_steps():
  _, config = configs.load("walkers")
  config.train.steps = 50
  _, schedule = optim.create_optimizer(config.optim)
  assert schedule(5) == pytest.approx(config.optim.learning_rate)
  assert schedule(50) == pytest.approx(0, abs=1e-9)


def test_unknown_keys_and_variants():
  _, config = configs.load("casiab")
  config.lock()
  with pytest.raises(AttributeError):
    config.optim.learning_rat = 1.0
  with pytest.raises(errors.UserError, match="smoke"):
    configs.load("casiab", "smok")


@pytest.mark.parametrize(
  "change, words",
  [
    (dict(channel=(8,) * 4), "no key channel"),
    (dict(name="gaitbas"), "gaitbase"),
    (dict(channels=(8, 8)), "four"),
    (dict(channels=8), "four"),
    (dict(blocks=(1, 1, 1, -1)), "four"),
    (dict(blocks=(1, 0, 1, 1)), "four"),
    (dict(retrieval="stage0"), "embedding or neck"),
    (dict(retrieval="neck", num_classes=0), "no neck"),
    (dict(num_classes=-1), "num_classes"),
    (dict(embedding_dim=0), "embedding_dim"),
    (dict(parts=5), "parts"),
  ],
)
def test_bad_model_is_one_line(change, words):
  model = config_lib.gaitbase().to_dict() | change
  with pytest.raises(errors.UserError, match=words):
    models.create_model(model)


@pytest.mark.parametrize(
  "change, words",
  [
    ({"batch.identities": 3, "batch.sequences": 3}, "9 clips.*8 devices"),
    ({"batch.sampler": "random"}, "sampler is 'random'.*triplet, shuffled"),
    ({"train.steps": 0}, "train.steps is 0"),
    ({"train.eval_every": -1}, "train.eval_every is -1"),
    ({"dtype": "float16"}, "dtype"),
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
