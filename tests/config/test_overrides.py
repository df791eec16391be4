"""Values of a command line: what is wrong with them, and an open test set."""

import pytest

from gaitkd_jax import config as config_lib
from gaitkd_jax.config import overrides
from tests.helpers import configs


@pytest.fixture
def config():
  return configs.load("walkers", "smoke")[1].lock()


@pytest.mark.parametrize(
  "key, text, words",
  [
    ("foo", "1", ["--config.foo: config has no key 'foo'", "augment, batch"]),
    ("optim.learning_rat", "1", ["optim.learning_rat:", "optim.learning_rate"]),
    ("bacth.identities", "1", ["bacth.identities:", "batch.identities"]),
    ("steps", "1", ["nearest: ", "config.train.steps"]),
    ("train.steps.foo", "1", ["config.train.steps is no section but 3"]),
    ("terms.new.weight", "1", ["config.terms has no key 'new'", "is empty"]),
    ("teachers.big.scale", "1", ["no key 'big'", "deepgaitv2.scale"]),
    ("", "1", ["--config.: config has no key ''"]),
    ("model.channels[9]", "1", ["config.model.channels"]),
    ("train.steps", "many", ["--config.train.steps=many: give a whole number"]),
    ("train.steps", "1e3", ["a whole number; it is 3 now"]),
    ("train.steps", None, ["no value is given"]),
    ("optim.learning_rate", "fast", ["give a number; it is"]),
    ("eval.report", "maybe", ["give true or false; it is false now"]),
    ("model.channels", "many", ['--config.model.channels="(4, 8, 16, 16)"']),
    ("model.channels", "(4, 8,", ["is no list of values"]),
    ("data.modalities", "silhouettes,heatmaps", ["\"('silhouettes',)\""]),
    ("optim", "3", ["config.optim is a section", "learning_rate"]),
  ],
)
def test_a_mistake_is_named_whole_with_what_was_meant(config, key, text, words):
  (said,) = overrides.mistakes(config, [(key, text)], "config")
  for word in words:
    assert word in said


@pytest.mark.parametrize(
  "key, text",
  [
    ("train.steps", "0x10"),
    ("optim.learning_rate", "1"),
    ("eval.report", None),
    ("eval.report", "false"),
    ("model.channels", "1,2,3,4"),
    ("data.train_subjects", "one"),
    ("data.train_subjects", "1,2"),
    ("data.root", "/a,b"),
    ("teachers.deepgaitv2.checkpoint", "x"),
  ],
)
def test_what_ml_collections_takes_is_no_mistake(config, key, text):
  assert overrides.mistakes(config, [(key, text)], "config") == []


def test_all_are_told_in_their_order(config):
  given = [("foo", "1"), ("train.steps", "5"), ("train.steps", "x")]
  foo, steps = overrides.mistakes(config, given, "config")
  assert "--config.foo" in foo and "--config.train.steps=x" in steps


def test_a_test_set_of_another_name_shares_machine_and_modalities(config):
  assert len(config.eval.data) == 0
  overrides.open_test_data(config, {"train.steps": "3"})
  assert len(config.eval.data) == 0
  overrides.open_test_data(config, {"eval.data.name": "ccpg"})
  assert set(config.eval.data) == set(config_lib.data())
  assert config.eval.data.variant == config.eval.data.partition == ""
  config.data.prepared = "/elsewhere"  # follows
  assert config.eval.data.prepared == "/elsewhere"
  config.eval.data.prepared = "/here"  # but does not lead
  assert config.data.prepared == "/elsewhere"
  with pytest.raises(AttributeError):
    config.eval.data.wait = 1


def test_a_test_set_of_the_same_name_has_all_of_data(config):
  overrides.open_test_data(config, {"eval.data.root": "/x"})
  assert config.eval.data.to_dict() == config.data.to_dict()
  config.eval.data.root = "/x"
  assert config.data.root != "/x"


def test_a_test_set_of_a_file_stays_as_it_is():
  config = configs.load("recorded_walks")[1]
  before = config.eval.data.to_dict()
  overrides.open_test_data(config, {"eval.data.name": "ccpg"})
  assert config.eval.data.to_dict() == before
