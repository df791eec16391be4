"""All mistakes of a command line are told at once."""

import pytest

from gaitkd_jax import arguments
from gaitkd_jax import config as config_lib
from gaitkd_jax import main  # it defines the flags
from tests.helpers import mistakes
from tests.helpers import paths

CONFIG = f"--config={paths.ROOT}/configs/walkers.py:smoke"


def told(*args):
  assert main.MODES
  return mistakes.message(arguments.check, ["main", *args])


def test_every_mistake_is_told():
  text = told(
    CONFIG,
    "--config.foo=1",
    "--config.optim.learning_rat=1",
    "--config.bacth.identities",
    "8",
    "--config.train.steps=many",
    "--mode=fly",
    "--wrkdir=x",
    "--train.steps=3",
    "--process_id=first",
    "--config.eval.batch_size",
  )
  assert text.startswith("9 mistakes: (1) --config.foo: ")
  for words in (
    "config.optim.learning_rate",
    "config.batch.identities",
    "--config.train.steps=many",
    "--mode=fly: value should be one of <train|eval",
    "there is no flag --wrkdir; did you mean --workdir?",
    "there is no flag --train.steps; did you mean --config.train.steps?",
    "--process_id=first: give a whole number",
    "(5) --config.eval.batch_size: no value",
  ):
    assert words in text, text


def test_what_is_right_is_no_mistake():
  arguments.check(
    [
      "main",
      CONFIG,
      "--noconfig.eval.report",
      "--config.train.steps",
      "-3",
      "-config.seed=1",
      "--nomultihost",
      "--workdir",
      "x",
      "--config.eval.data.name=ccpg",
    ]
  )


def test_one_mistake_is_not_counted():
  assert told(CONFIG, "--config.foo=1").startswith("--config.foo: config has")


def test_a_config_that_cannot_be_read_is_told_with_the_rest():
  text = told("--config=none.py", "--config.foo=1", "--mode=fly")
  assert text.startswith("2 mistakes: (1) none.py is no config file (it does")
  assert "--config.foo" not in text  # nobody knows


def test_keys_without_a_file_and_surplus_are_named():
  text = told("--config.foo=1", "surplus", "--mode=fly")
  assert "--config.foo is given without --config=<file>" in text
  assert "unknown arguments: surplus --mode=fly" in text


def test_help_comes_before_mistakes():
  with pytest.raises(config_lib.Help):
    arguments.check(["main", f"{CONFIG[:-5]}help", "--config.foo=1"])
