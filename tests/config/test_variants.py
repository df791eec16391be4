"""The variants of a config file."""

import pytest

from gaitkd_jax import config as config_lib
from gaitkd_jax import errors
from tests.helpers import configs


def make(name="walkers"):
  config = config_lib.default()
  config.data = config_lib.data(name)
  return config


VARIANTS = {
  "small": config_lib.Variant(make, "Rank-1 12.5", "a paper", "What it is."),
  "large": config_lib.Variant(lambda: make("oumvlp")),
}


def select(variant, variants=VARIANTS):
  return config_lib.select("A title.\n", variants, variant)


@pytest.mark.parametrize(
  "variant, data, steps",
  [
    ("", "walkers", 60_000),
    ("small", "walkers", 60_000),
    ("large", "oumvlp", 60_000),
    ("smoke", "walkers", 3),
    ("small_smoke", "walkers", 3),
    ("large_smoke", "oumvlp", 3),
  ],
)
def test_the_first_is_the_default(variant, data, steps):
  config = select(variant)
  assert (config.data.name, config.train.steps) == (data, steps)


@pytest.mark.parametrize(
  "variant", ["smok", "smal", "small_", "smoke_small", "_smoke_", "small_help"]
)
def test_an_unknown_variant_names_the_others_and_help(variant):
  with pytest.raises(errors.UserError) as caught:
    select(variant)
  message = str(caught.value)
  assert f"no variant {variant!r}; it has small, large" in message
  assert "_smoke" in message and ":help" in message


def test_an_unknown_variant_of_many_names_the_nearest():
  with pytest.raises(errors.UserError) as caught:
    configs.load("distill", "rkd_gait3")
  message = str(caught.value)
  assert "rkd_gait3d" in message and ":help" in message
  assert "patch_swap" not in message


def test_a_file_without_named_variants_says_so():
  with pytest.raises(errors.UserError, match="it has smoke only.*:help"):
    configs.load("casiab", "smok")


def test_help_has_the_title_and_every_figure():
  with pytest.raises(config_lib.Help) as caught:
    select("help")
  text = str(caught.value)
  assert text.startswith("A title.\n")
  title, about, figure, source = text.split("\n\n")[2].splitlines()
  assert title == "  small (also without a variant)"
  assert about.strip() == "What it is."
  assert figure.strip() == "Rank-1 12.5"
  assert source.strip() == "source: a paper"
  assert text.endswith("  not measured:\n    large")


@pytest.mark.parametrize(
  "source", [config_lib.OPENGAIT, config_lib.OPENGAIT_HID, config_lib.GAITKD]
)
def test_help_says_that_published_figures_are_not_from_here(source):
  closing = "were not measured here."
  published = {"": config_lib.Variant(make, "1", source)}
  with pytest.raises(config_lib.Help, match=closing):
    select("help", published)
  with pytest.raises(config_lib.Help) as caught:
    select("help", {"": config_lib.Variant(make, "1", "a script")})
  assert closing not in str(caught.value)


def test_load_reads_a_file_by_path():
  config = config_lib.load(configs.FOLDER / "gaitbase.py", "grew_smoke")
  assert (config.data.name, config.train.steps) == ("grew", 3)
  for path in ("none.py", "", "README.md"):
    with pytest.raises(errors.UserError, match="no config file"):
      config_lib.load(configs.FOLDER / path)
  # As absl divides gs://bucket/file.py.
  with pytest.raises(errors.UserError, match="read from the disk"):
    config_lib.load("gs", "//bucket/file.py")


@pytest.mark.parametrize(
  "text, words",
  [
    ("def get_config(:\n", "line 1, is not Python"),
    ("def get_config():\n  return 1 / 0\n", "line 2, fails: ZeroDivisionError"),
    ("def get_config():\n  return int('x')\n", "line 2, fails: ValueError"),
    ("import no_such_module\n", "line 1, fails: ModuleNotFoundError"),
    ("x = 1\n", "has no function get_config"),
    ("def get_config():\n  pass\n", "returns NoneType"),
    ("def get_config():\n  return {}\n", "returns dict"),
    (
      "from ml_collections import ConfigDict\n"
      "def get_config(_):\n  return ConfigDict().x\n",
      "line 3, fails: AttributeError",
    ),
  ],
)
def test_a_mistake_in_a_file_names_its_line(tmp_path, text, words):
  path = tmp_path / "wrong.py"
  path.write_text(text)
  with pytest.raises(errors.UserError) as caught:
    config_lib.load(path)
  assert str(path) in str(caught.value) and words in str(caught.value)


def test_a_file_may_have_no_variants(tmp_path):
  path = tmp_path / "plain.py"
  path.write_text(
    "from gaitkd_jax import config\ndef get_config():\n"
    "  return config.default()\n"
  )
  assert config_lib.load(path).train.steps == 60_000
  with pytest.raises(errors.UserError, match="plain.py has no variants"):
    config_lib.load(path, "smoke")


def test_a_bug_of_the_library_is_no_mistake_of_the_file(tmp_path):
  path = tmp_path / "bug.py"
  path.write_text(
    "from gaitkd_jax import config\ndef get_config():\n"
    "  return config.multistep(*3)\n"
  )
  with pytest.raises(errors.UserError, match="line 3, fails: TypeError"):
    config_lib.load(path)
  path.write_text(
    "from gaitkd_jax import config\ndef get_config():\n"
    "  return config.benchmark(config.default(), 'none')\n"
  )
  with pytest.raises(KeyError):
    config_lib.load(path)
