"""GaitBase: what its config decides."""

import jax
import numpy as np
import pytest

from gaitkd_jax import models
from gaitkd_jax.models import layers
from tests.helpers import networks


def test_the_width_of_embeddings_is_free():
  module = networks.smoke(dict(name="gaitbase", parts=8))
  module = module.clone(embedding_dim=7)
  assert module.width == 7 and module.bins == (8,)
  assert module.block is layers.BasicBlock2D
  params = models.abstract_variables(module)["params"]
  assert params["fc"]["kernel"].shape == (8, 16, 7)


@pytest.mark.parametrize("retrieval", ["embedding", "neck"])
def test_what_is_searched(retrieval):
  module = networks.smoke(
    dict(name="gaitbase", num_classes=3, retrieval=retrieval)
  )
  x = networks.clips(module, n=2, s=2)
  out = jax.jit(module.apply)(networks.random_variables(module), x)
  np.testing.assert_array_equal(out["retrieval"], out[retrieval])
  assert (out["embedding"] != out["neck"]).any()
