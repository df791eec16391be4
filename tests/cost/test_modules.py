"""Parameters and products of networks and of their modules."""

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
    (
      dict(name="deepgaitv2", mode="3d", blocks=(1, 4, 4, 1)),
      29_870_784,
      29_559_488,
      6.784,
    ),
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
  # SkeletonGait's size is DeepGaitV2's with a second channel (64 x 44 x 9 x
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


_LARGE = dict(channels=(32, 64, 128, 256), variant="large")


@pytest.mark.parametrize(
  "config, total",
  [
    (dict(name="gaitbase", num_classes=3000), 19_290_304),
    (dict(name="gaitbase", num_classes=5153), 28_108_992),
    (dict(name="gaitbase", num_classes=20_000), 88_922_304),
    (dict(name="deepgaitv2", num_classes=3000), 25_492_160),
    (
      dict(name="deepgaitv2", blocks=(1, 1, 1, 1), num_classes=3000),
      20_324_288,
    ),
    (dict(name="deepgaitv2", mode="2d", num_classes=3000), 23_718_592),
    (dict(name="deepgaitv2", mode="3d", num_classes=3000), 41_855_680),
    (
      dict(name="deepgaitv2", mode="3d", num_classes=3000)
      | dict(blocks=(1, 1, 1, 1)),
      28_580_032,
    ),
    (dict(name="gaitbase_plain", num_classes=74), 3_779_136),
    (dict(name="gaitset"), 2_594_592),
    (dict(name="gaitset", channels=(64, 128, 256)), 6_313_536),
    (dict(name="gaitpart"), 1_204_000),
    (dict(name="gaitpart", embedding_dim=256, **_LARGE), 4_841_248),
    (dict(name="gaitgl", num_classes=74), 3_096_673),
    (dict(name="gaitgl", num_classes=3000), 27_066_465),
    (dict(name="gaitgl", num_classes=5153, **_LARGE), 95_620_449),
    (dict(name="gaitgl", num_classes=20_000, **_LARGE), 338_873_697),
  ],
)
def test_parameters_equal_the_references(config, total):
  params = cost.abstract_parameters(models.create_model(config))
  assert cost.parameters(params) == total


@pytest.mark.parametrize("name", models.MODELS)
def test_modules_add_up(name):
  module = models.create_model(dict(name=name))
  if hasattr(module, "blocks"):
    module = module.clone(blocks=(1, 1, 1, 1))
  costs = cost.module_costs(module, 9)
  params = cost.abstract_parameters(module)
  total = cost.parameters(params)
  assert sum(c.parameters for c in costs.values()) == total
  gmac = sum(c.gmac for c in costs.values())
  assert gmac == pytest.approx(cost.gmac_per_frame(module), rel=1e-9)
  names = list(costs)
  assert names.index("stage2") < names.index("set") < names.index("fc")
  assert costs["set"].shape == cost.output_shapes(module, 9)["set"]


def test_the_classifier_is_not_searched():
  config = dict(name="gaitbase", num_classes=7)
  module = models.create_model(config)
  assert cost.retrieval_parameters(module) == 6_994_112
  module = models.create_model(config | dict(retrieval="neck"))
  assert cost.retrieval_parameters(module) == 6_994_112 + 2 * 16 * 256
  module = models.create_model(dict(name="gaitgl", num_classes=7))
  assert cost.retrieval_parameters(module) == 2_490_465


def test_a_transformers_modules_are_listed_one_by_one():
  module = models.create_model(
    dict(name="swingait", channels=(4, 8), blocks=(1, 1, 1, 1), dim=16)
  )
  costs = cost.module_costs(module, 6)
  assert "transformer" not in costs
  assert costs["transformer.stage0"].shape == (1, 6, 15, 10, 16)
  # Resizing is a product outside of all modules.
  assert costs["other"].parameters == 0 and costs["other"].gmac > 0
