"""SkeletonGait++: fusion of two inputs, precision, configs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax.models import padding
from gaitkd_jax.models import skeletongaitpp
from tests.helpers import networks


def test_bfloat16_of_stages_only():
  networks.check_dtypes(networks.RESIDUAL["skeletongaitpp"])


def test_fusion_weighs_both_maps_to_one():
  module = skeletongaitpp.AttentionFusion()
  maps = jax.random.normal(jax.random.key(0), (2, 6, 4, 5, 16))
  variables = module.init(
    jax.random.key(1), *maps, padding.Clips(3), train=False
  )
  # Equal maps weighed to one are themselves.
  same = module.apply(
    variables, maps[0], maps[0], padding.Clips(3), train=False
  )
  np.testing.assert_allclose(same, maps[0], rtol=1e-5, atol=1e-6)
  fused = module.apply(variables, *maps, padding.Clips(3), train=False)
  low, high = jnp.minimum(*maps), jnp.maximum(*maps)
  assert bool(((fused >= low - 1e-6) & (fused <= high + 1e-6)).all())
  assert not np.allclose(fused, maps.mean(axis=0), atol=1e-3)


def test_the_silhouette_is_the_last_channel():
  module = networks.smoke(dict(name="skeletongaitpp"))
  x = networks.clips(module, n=1, s=2)
  variables = networks.random_variables(module)
  apply = jax.jit(module.apply)
  out, changed = apply(variables, x), apply(variables, x.at[..., -1].set(0.0))
  np.testing.assert_array_equal(out["map_stage1"], changed["map_stage1"])
  assert (out["silhouette_stage1"] != changed["silhouette_stage1"]).any()


@pytest.mark.parametrize(
  "config, message",
  [
    (dict(channels=(1, 1)), "has no key channels"),
    (dict(base_channels=0), "at least 1"),
    (dict(in_channels=2), "give 3"),
  ],
)
def test_bad_configs(config, message):
  with pytest.raises(errors.UserError, match=message) as caught:
    models.create_model(dict(name="skeletongaitpp", **config))
  assert "\n" not in str(caught.value)
