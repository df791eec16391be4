"""Networks by name: what is built, and what is refused in one line."""

import jax
import jax.numpy as jnp
import pytest

from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax.models import gaitset
from tests.helpers import networks


@pytest.mark.parametrize(
  "config, message",
  [
    (dict(name="gaitswin"), "model.name is 'gaitswin'; give one of deepgait"),
    (dict(name=["gaitset"]), "model.name is .* give one of"),
    (dict(), "model.name is None"),
    (dict(name="gaitset", dtype="float32"), "no key dtype"),
    (dict(name="gaitset", name_="x", b=1), "has no key b, name_; it has"),
    (dict(name="gaitbase", embedding_dim=0), "embedding_dim of gaitbase is 0"),
    (dict(name="gaitbase", num_classes=-1), "0 .no classifier. or more"),
    (dict(name="gaitbase", retrieval="stage0"), "embedding or neck"),
    (dict(name="gaitbase", retrieval="neck"), "num_classes is 0"),
  ],
)
def test_bad_configs(config, message):
  with pytest.raises(errors.UserError, match=message) as caught:
    models.create_model(config)
  assert "\n" not in str(caught.value)


def test_a_network_of_a_config():
  module = models.create_model(
    dict(name="gaitset", channels=[4, 4, 8], embedding_dim=8), "bfloat16"
  )
  assert module == gaitset.GaitSet(
    channels=(4, 4, 8), embedding_dim=8, dtype=jnp.dtype("bfloat16")
  )


def test_keys_of_a_config():
  assert models.config_keys("gaitset") == {
    *("channels", "embedding_dim", "in_channels")
  }
  assert models.config_keys("deepgaitv2") == {
    *("mode", "channels", "blocks", "num_classes", "in_channels"),
    *("parts", "retrieval", "remat"),
  }


def test_known_kinds():
  kinds = models.known_kinds()
  assert kinds["deepgaitv2-3d"] == dict(name="deepgaitv2", mode="3d")
  assert kinds["gaitset"] == dict(name="gaitset")
  assert {config["name"] for config in kinds.values()} == set(models.MODELS)


def test_drawn_variables_have_the_abstract_shapes():
  module = networks.smoke(dict(name="gaitset"))
  drawn = jax.jit(lambda key: models.init_variables(module, key))(
    jax.random.key(0)
  )
  assert drawn["batch_stats"] == {}
  shapes = jax.tree.map(lambda x: (x.shape, x.dtype), drawn)
  abstract = models.abstract_variables(module)
  assert shapes == jax.tree.map(lambda x: (x.shape, x.dtype), abstract)
