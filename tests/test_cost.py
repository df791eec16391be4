"""Sizes against the reference's."""

import jax
import jax.numpy as jnp
import pytest

from gaitkd_jax import cost
from gaitkd_jax import models


@pytest.mark.parametrize(
  "config, total, core, gmac",
  [
    (dict(name="gaitbase"), 7_305_408, 6_994_112, 1.178),
    (dict(name="deepgaitv2", mode="p3d"), 8_339_392, 8_028_096, 1.386),
    (
      dict(name="deepgaitv2", mode="p3d", blocks=(1, 4, 4, 1)),
      13_507_264,
      13_195_968,
      2.839,
    ),
    (
      dict(name="deepgaitv2", mode="2d", blocks=(1, 4, 4, 1)),
      11_733_696,
      11_422_400,
      2.424,
    ),
    (dict(name="deepgaitv2", mode="3d"), 16_595_136, 16_283_840, 3.047),
    (  # SkeletonGait
      dict(name="deepgaitv2", blocks=(1, 4, 4, 1), num_classes=3000)
      | dict(in_channels=2),
      25_492_736,
      13_196_544,
      2.839 + 0.0016,
    ),
    (
      dict(name="skeletongaitpp", blocks=(1, 4, 4, 1), num_classes=3000),
      25_568_608,
      13_272_416,
      3.053,
    ),
    (
      dict(name="skeletongaitpp", num_classes=100),
      8_522_336,
      8_104_544,
      1.600,
    ),
    (
      dict(name="swingait", blocks=(1, 4, 4, 2), num_classes=3000),
      25_539_136,
      13_242_944,
      2.587 + 0.0044 + 4 * 0.0034560 + 2 * 0.0069120,
    ),
    (
      dict(name="swingait", blocks=(1, 1, 2, 2), num_classes=100),
      11_039_520,
      10_621_728,
      1.624 + 0.0044 + 2 * 0.0034560 + 2 * 0.0069120,
    ),
  ],
)
def test_sizes_equal_the_references(config, total, core, gmac):
  # SkeletonGait's figure is DeepGaitV2's with a second channel (64 x 44 x 9 x
  # 64 products). The reference's for SwinGait lacks the resizing of maps (30 x
  # 22 x 32 and 30 x 20 x 22 products of 128 channels) and attention (150 tokens
  # x 45 keys x the width, twice a block).
  config = dict(blocks=(1, 1, 1, 1), num_classes=74) | config
  module = models.create_model(config)
  shape = jax.ShapeDtypeStruct((1, 2, 64, 44, module.in_channels), jnp.float32)
  params = jax.eval_shape(module.init, jax.random.key(0), shape)["params"]
  assert sum(x.size for x in jax.tree.leaves(params)) == total
  assert cost.inference_parameters(params) == core
  assert cost.gmac_per_frame(module) == pytest.approx(gmac, abs=6e-4)


def test_products_and_loops_by_hand():
  def function(x, w):
    def body(total, _):
      return total + x @ w, None

    return jax.lax.scan(body, jnp.zeros((2, 5)), None, length=7)

  count = cost.multiply_accumulates(
    function, jnp.ones((2, 3)), jnp.ones((3, 5))
  )
  assert count == 7 * 2 * 3 * 5
