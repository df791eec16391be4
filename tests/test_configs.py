"""Every config: its resolved values, and that a typo is an error."""

import importlib.util
import json
import os
import pathlib

import jax
import jax.numpy as jnp
import pytest

from gaitkd_jax import config as config_lib
from gaitkd_jax import distill
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import optim

ROOT = pathlib.Path(__file__).parent.parent
NAMES = sorted(p.stem for p in (ROOT / "configs").glob("*.py"))


def load(name, variant=""):
  spec = importlib.util.spec_from_file_location(
    name, ROOT / "configs" / f"{name}.py"
  )
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module, module.get_config(variant)


@pytest.mark.parametrize("name", NAMES)
def test_golden(name):
  _, config = load(name)
  module = models.create_model(config.model)
  shape = jax.ShapeDtypeStruct((1, 2, 64, 44), jnp.float32)
  params = jax.eval_shape(module.init, jax.random.key(0), shape)["params"]
  text = json.dumps(
    config.to_dict()
    | {"(parameters)": sum(x.size for x in jax.tree.leaves(params))},
    indent=1,
    sort_keys=True,
  ).replace(str(ROOT), ".")
  golden = ROOT / "tests" / "golden" / f"{name}.json"
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
  module, config = load(name, variant)
  assert f"configs/{name}.py" in module.__doc__
  assert "To expect" in module.__doc__ or "to expect" in module.__doc__
  config_lib.check(config)
  config_lib.check_batch(config, num_devices=8)
  student = models.create_model(config.model)
  teachers = distill.create_teachers(config.teachers)
  distill.check_compatible(student, config.model.name, teachers)
  _, schedule = optim.create_optimizer(config.optim)
  assert schedule(60_000) < config.optim.learning_rate


def test_onecycle_follows_the_steps():
  _, config = load("walkers")
  config.train.steps = 50
  _, schedule = optim.create_optimizer(config.optim)
  assert schedule(5) == pytest.approx(config.optim.learning_rate)
  assert schedule(50) == pytest.approx(0, abs=1e-9)


def test_unknown_keys_and_variants():
  _, config = load("casiab")
  config.lock()
  with pytest.raises(AttributeError):
    config.optim.learning_rat = 1.0
  with pytest.raises(errors.UserError, match="smoke"):
    load("casiab", "smok")


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
    ({"train.steps": 0}, "train.steps is 0"),
    ({"dtype": "float16"}, "dtype"),
    ({"teachers.deepgaitv2.temperature": 0.0}, "temperature"),
    ({"model.in_channels": 2}, "in_channels of the student is 2"),
  ],
)
def test_check_finds_what_cannot_work(change, words):
  _, config = load("casiab")
  config.update_from_flattened_dict(change)
  with pytest.raises(errors.UserError, match=words):
    config_lib.check(config)
    config_lib.check_batch(config, num_devices=8)
