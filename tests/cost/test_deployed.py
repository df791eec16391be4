"""What a quantised network costs where it is deployed."""

import dataclasses

import pytest

from gaitkd_jax import cost
from gaitkd_jax import models

W4A8 = dict(weights=4, activations=8)


def small(name, **values):
  """A network of a trial's size."""
  module = models.create_model(dict(name=name))
  fields = {field.name for field in dataclasses.fields(module)}
  size = {k: v for k, v in module.smoke_size.items() if k in fields}
  return dict(name=name, **size | values)


@pytest.mark.parametrize("retrieval", ["embedding", "neck"])
def test_gaitbase_by_hand(retrieval):
  config = dict(name="gaitbase", channels=(4, 8, 16, 32), embedding_dim=16)
  config |= dict(num_classes=7, retrieval=retrieval)
  found = cost.deployed(models.create_model(config, quantization=W4A8), 5)
  # Blocks of two 3 x 3 convolutions, of which three have a 1 x 1 shortcut.
  widths = [(4, 4, False), (4, 8, True), (8, 16, True), (16, 32, True)]
  four = sum(9 * a * b + 9 * b * b + (a * b if s else 0) for a, b, s in widths)
  edges = 9 * 1 * 4 + 16 * 32 * 16
  channels = 4 + sum((3 if s else 2) * b for _, b, s in widths)
  # A factor and a shift a feature, behind the embedding.
  neck = 2 * 16 * 16 if retrieval == "neck" else 0
  assert found.weights == {
    4: (four, four // 2),
    8: (edges, edges),
    0: (channels + neck, 4 * (channels + neck)),
  }
  # One a channel of every kernel; one an array: of the stem, two of every
  # block's layers and its shortcut's, the sum's; the FC's input.
  steps = channels + 16 * 16 + 1 + (2 * 4 + 3 + 4) + 1
  assert found.steps == (steps, 4 * steps)
  assert found.bytes == (four // 2 + edges + 4 * (channels + neck) + 4 * steps)
  assert found.float_bytes == 4 * (four + edges + channels + neck)
  # Of each of five frames; stages 2 and 3 halve the maps.
  sizes = [64 * 44, 32 * 22, 16 * 11, 16 * 11]
  inner = sum(
    size * (9 * a * b + 9 * b * b + (a * b if s else 0))
    for size, (a, b, s) in zip(sizes, widths, strict=True)
  )
  assert found.products == {
    "W4A8": 5 * inner,
    "W8A8": 5 * 64 * 44 * 9 * 4 + 16 * 32 * 16,
  }


def test_p3d_by_hand():
  config = dict(name="deepgaitv2", mode="p3d", channels=(4, 8, 16, 32))
  config |= dict(blocks=(1, 1, 1, 1), num_classes=7)
  found = cost.deployed(models.create_model(config, quantization=W4A8), 5)
  # The first stage is of two dimensions, the others add one in time.
  stages = [(64 * 44, 4, 4), (32 * 22, 4, 8), (16 * 11, 8, 16)]
  stages.append((16 * 11, 16, 32))
  macs = four = layers = 0
  channels, sums = 4, 4
  for i, (size, a, b) in enumerate(stages):
    values = 9 * a * b + 9 * b * b + (a * b + 3 * b * b if i else 0)
    macs, four = macs + 5 * size * values, four + values
    layers += 4 if i else 2
    channels += (4 if i else 2) * b
  sums += 3
  edges = 9 * 4 + 16 * 32 * 16
  steps = channels + 16 * 16 + 1 + layers + sums + 1
  assert found.weights == {
    4: (four, four // 2),
    8: (edges, edges),
    0: (channels, 4 * channels),
  }
  assert found.steps.values == steps
  assert found.products == {
    "W4A8": macs,
    "W8A8": 5 * 64 * 44 * 9 * 4 + 16 * 32 * 16,
  }


@pytest.mark.parametrize("name", models.MODELS)
def test_no_layer_reads_what_is_not_quantised(name):
  config = small(name)
  module = models.create_model(config, quantization=W4A8 | {"activations": 4})
  found = cost.deployed(module, 6)
  assert set(found.products) - {"float"} == {"W4A4", "W8A8"}
  assert ("float" in found.products) == bool(module.float_parts)
  plain = cost.deployed(models.create_model(config), 6)
  assert plain.products == {"float": sum(found.products.values())}
  assert plain.weights[0].values == sum(
    w.values for w in found.weights.values()
  )
  assert plain.bytes == plain.float_bytes == found.float_bytes
  assert not plain.steps.values


@pytest.mark.parametrize("kind", ["2d", "3d"])
def test_other_kinds_are_quantised_throughout(kind):
  config = small("deepgaitv2", mode=kind)
  found = cost.deployed(models.create_model(config, quantization=W4A8), 6)
  assert set(found.products) == {"W4A8", "W8A8"}


@pytest.mark.parametrize(
  "quantization, products, bits",
  [
    (dict(weights=8, activations=8), ["W8A8"], {8, 0}),
    (dict(weights=8, activations=8, range="half"), ["W8A8"], {8, 0}),
    (dict(weights=4, activations=8, range="half"), ["W4A8", "W8A8"], {4, 8, 0}),
    (dict(weights=3, activations=0), ["W3Afloat", "W8Afloat"], {3, 8, 0}),
    (dict(weights=0, activations=5), ["WfloatA5", "WfloatA8"], {0}),
    (W4A8 | dict(rounding="dsq"), ["W4A8", "W8A8"], {4, 8, 0}),
  ],
)
def test_bits_are_those_of_the_config(quantization, products, bits):
  module = models.create_model(small("gaitbase"), quantization=quantization)
  found = cost.deployed(module, 3)
  assert list(found.products) == products
  assert set(found.weights) == bits


def test_a_step_counts_whether_it_is_learned_or_observed():
  learned, observed = (
    cost.deployed(
      models.create_model(small("gaitset"), quantization=W4A8 | more), 3
    )
    for more in ({}, {"scales": "observed"})
  )
  assert learned == observed


def test_arrays_are_packed_to_whole_bytes():
  quantization = dict(weights=3, activations=8)
  config = small("gaitbase", channels=(1, 2, 2, 2))
  found = cost.deployed(
    models.create_model(config, quantization=quantization), 3
  )
  # Nine weights of three bits take four bytes.
  assert found.weights[3].bytes * 8 > 3 * found.weights[3].values


def test_checkpointed_blocks_count_the_same():
  config = small("deepgaitv2")
  plain, again = (
    cost.deployed(
      models.create_model(config | {"remat": remat}, quantization=W4A8), 3
    )
    for remat in (False, True)
  )
  assert plain == again
