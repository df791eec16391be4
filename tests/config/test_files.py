"""Every config file: what it says, and that its parts can be built."""

import pytest

from gaitkd_jax import config as config_lib
from gaitkd_jax import distill
from gaitkd_jax import models
from gaitkd_jax.training import optim
from tests.helpers import configs

MODULES = {name: configs.module(name) for name in configs.FILES}
# Those of distill.py are built in test_methods.py.
RECIPES = [
  (name, variant)
  for name, module in MODULES.items()
  for variant in module.VARIANTS
  if name != "distill"
]


@pytest.mark.parametrize("trial", [False, True])
@pytest.mark.parametrize("name, variant", RECIPES)
def test_every_part_can_be_built(name, variant, trial):
  get_config = MODULES[name].get_config
  parts = [variant] * bool(variant) + ["smoke"] * trial
  config = get_config("_".join(parts))
  config_lib.check(config)
  config_lib.check_batch(config, num_devices=8)
  student = models.create_model(config.model, quantization=config.quantization)
  teachers = distill.create_teachers(config.teachers)
  distill.check_compatible(student, config.model.name, teachers)
  _, schedule = optim.create_optimizer(
    config.optim, student, config.quantization
  )
  last = get_config(variant).train.steps - 1
  assert schedule(last) < config.optim.learning_rate


@pytest.mark.parametrize("name", configs.FILES)
def test_the_docstring_has_command_hardware_and_what_to_expect(name):
  doc = MODULES[name].__doc__
  assert f"python -m gaitkd_jax.main --config=configs/{name}.py" in doc
  assert "Hardware" in doc
  assert "to expect:" in " ".join(doc.lower().split())


@pytest.mark.parametrize("name", configs.FILES)
def test_every_variant_has_a_figure_with_its_source_or_says_not_measured(name):
  for variant in MODULES[name].VARIANTS.values():
    if variant.expected == config_lib.NOT_MEASURED:
      assert not variant.source
    else:
      assert any(letter.isdigit() for letter in variant.expected)
      assert variant.source


@pytest.mark.parametrize("name", configs.FILES)
def test_help_lists_every_variant_with_its_figure(name):
  module = MODULES[name]
  with pytest.raises(config_lib.Help) as caught:
    module.get_config("help")
  text = str(caught.value)
  assert text.startswith(module.__doc__.strip())
  words = text.replace(",", " ").split()
  flat = " ".join(text.split())
  for variant, value in module.VARIANTS.items():
    assert not variant or variant in words
    assert value.expected in flat
    assert value.source in flat


def test_there_are_few_files():
  assert len(configs.FILES) <= 24
