"""The published networks, and values that none of them takes."""

import jax
import pytest

from gaitkd_jax import config as config_lib
from gaitkd_jax import errors
from gaitkd_jax import models
from tests.helpers import configs


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
  "name, variant, count",
  [
    ("gaitset", "casiab", 2_594_592),
    ("gaitset", "oumvlp", 6_313_536),
    ("gaitpart", "casiab", 1_204_000),
    ("gaitpart", "oumvlp", 4_841_248),
    ("gaitgl", "casiab", 3_096_673),
    ("gaitgl", "oumvlp", 95_620_449),
    ("gaitgl", "grew", 338_873_697),
    ("gaitbase", "hid", 12_730_432),
  ],
)
def test_sizes_are_those_of_opengait(name, variant, count):
  """As counted in PyTorch, built from OpenGait's own configs."""
  _, config = configs.load(name, variant)
  module = models.create_model(config.model)
  params = models.abstract_variables(module)["params"]
  assert sum(x.size for x in jax.tree.leaves(params)) == count
