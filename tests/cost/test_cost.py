"""Sizes against the reference's."""

from flax import linen as nn
import jax
import jax.numpy as jnp
import pytest

from gaitkd_jax import cost
from gaitkd_jax import models
from gaitkd_jax.cost import program


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


@pytest.mark.parametrize(
  "config, gmac",
  [
    (dict(name="gaitset"), 0.109),
    (dict(name="gaitset", channels=(64, 128, 256)), 0.430),
    (dict(name="gaitpart"), 0.107),
    (dict(name="gaitgl"), 0.421),
    (dict(name="gaitgl", num_classes=5153, **_LARGE), 1.955),
  ],
)
def test_a_clips_products_equal_the_references(config, gmac):
  # The reference's figures are means of 30 frames, with what comes once: the
  # classifier too, which the large GaitGL's shows.
  module = models.create_model(config)
  variables, x = program.abstract(module, 1, 30)
  count = cost.multiply_accumulates(module.apply, variables, x)
  assert count / 30e9 == pytest.approx(gmac, abs=6e-4)


@pytest.mark.parametrize("name", models.MODELS)
def test_parts_add_up(name):
  module = models.create_model(dict(name=name))
  if hasattr(module, "blocks"):
    module = module.clone(blocks=(1, 1, 1, 1))
  parts = cost.parts(module, 9)
  params = cost.abstract_parameters(module)
  total = cost.parameters(params)
  assert sum(part.parameters for part in parts.values()) == total
  gmac = sum(part.gmac for part in parts.values())
  assert gmac == pytest.approx(cost.gmac_per_frame(module), rel=1e-9)
  names = list(parts)
  assert names.index("stage2") < names.index("set") < names.index("fc")
  assert parts["set"].shape == cost.output_shapes(module, 9)["set"]


def test_the_classifier_is_not_searched():
  config = dict(name="gaitbase", num_classes=7)
  module = models.create_model(config)
  assert cost.retrieval_parameters(module) == 6_994_112
  module = models.create_model(config | dict(retrieval="neck"))
  assert cost.retrieval_parameters(module) == 6_994_112 + 2 * 16 * 256
  module = models.create_model(dict(name="gaitgl", num_classes=7))
  assert cost.retrieval_parameters(module) == 2_490_465


@pytest.mark.parametrize(
  "config, frames",
  [
    (dict(name="gaitbase"), 1),
    # A frame on either side for every convolution over time.
    (dict(name="deepgaitv2", blocks=(1, 1, 2, 1)), 1 + 2 * 4),
    (dict(name="deepgaitv2", mode="3d", blocks=(1, 1, 1, 1)), 1 + 2 * 6),
    # Four rows of windows, each shifted against the next; one convolution.
    (dict(name="swingait", blocks=(1, 1, 2, 2)), 4 * 3 + 2),
    # Three stages, each of three frames that are three of the input's; a stem.
    (dict(name="gaitgl"), 7 * 3 + 2),
    # Windows of five, of which each is weighed by five.
    (dict(name="gaitpart"), 5),
  ],
)
def test_receptive_field(config, frames):
  assert cost.receptive_field(models.create_model(config)) == frames


class TwoConvolutions(nn.Module):
  """What the estimates of memory need of a network."""

  in_channels: int = 1

  @nn.compact
  def __call__(self, x, lengths=None, train=False):
    x = nn.relu(nn.Conv(8, (1, 3, 3), use_bias=False)(x))
    x = nn.Conv(2, (1, 3, 3), use_bias=False)(x)
    x = jnp.sum(x, axis=1)
    return {"set": x, "embedding": x, "retrieval": x}


def test_memory_by_hand():
  image = 3 * 5 * 64 * 44 * 4
  # The rectifier writes over the first map, and the sum reads the second.
  assert cost.forward_memory(TwoConvolutions(), 3, 5) == image * (8 + 2)
  # The second convolution's operand, and a bit (a byte) for the rectifier.
  assert cost.saved_memory(TwoConvolutions(), 3, 5) == image * 8 * 5 // 4
