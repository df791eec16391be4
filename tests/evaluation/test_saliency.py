"""Saliency: against closed forms, finite differences and receptive fields."""

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import models
from gaitkd_jax.evaluation import distances
from gaitkd_jax.evaluation import saliency
from tests.helpers import networks

NETWORKS = {
  "gaitbase": dict(
    name="gaitbase",
    channels=(4, 4, 8, 8),
    embedding_dim=8,
    num_classes=3,
  ),
  "gaitset": networks.LEAKY["gaitset"],
  "skeletongaitpp": networks.RESIDUAL["skeletongaitpp"],
}
PARTS, HEIGHT, WIDTH, FRAMES, DIM = 4, 8, 6, 3, 5
STRIP = HEIGHT // PARTS


class Strips(nn.Module):
  """A linear network: features of pixels, the mean of a strip, a matrix."""

  size: int = 1
  features: int = 2

  @nn.compact
  def __call__(self, x, lengths=None):
    n, s = x.shape[:2]
    x = x.reshape(n * s, *x.shape[2:])
    x = x if x.ndim == 4 else x[..., None]
    x = nn.Conv(self.features, (self.size,) * 2, name="maps")(x)
    x = x.reshape(n, s, PARTS, STRIP, WIDTH, -1).mean(axis=(3, 4))
    lengths = jnp.full((n,), s) if lengths is None else lengths
    real = jnp.arange(s)[None, :] < lengths[:, None]
    x = jnp.where(real[:, :, None, None], x, 0.0).sum(axis=1)
    x = x / lengths[:, None, None]
    kernel = self.param(
      "kernel", nn.initializers.normal(1.0), (PARTS, self.features, DIM)
    )
    return {"retrieval": jnp.einsum("npc,pcd->npd", x, kernel)}


def case(channels=None, **fields):
  rng = np.random.default_rng(3)
  shape = (FRAMES, HEIGHT, WIDTH) + ((channels,) if channels else ())
  x = rng.uniform(size=shape).astype(np.float32)
  module = Strips(**fields)
  variables = module.init(jax.random.key(0), x[None])
  bias = variables["params"]["maps"]["bias"]
  variables["params"]["maps"]["bias"] = rng.normal(size=bias.shape)
  reference = rng.normal(size=(PARTS, DIM)).astype(np.float32)
  return module, variables, x, reference


def directions(module, variables, x, reference, metric):
  """By hand: the gradient of a part's similarity by its embedding."""
  e = np.asarray(module.apply(variables, x[None])["retrieval"][0], np.float64)
  if metric == "euclidean":
    apart = reference - e
    return apart / np.linalg.norm(apart, axis=1, keepdims=True)
  size, other = (
    np.linalg.norm(v, axis=1, keepdims=True) for v in (e, reference)
  )
  cosine = (e * reference).sum(1, keepdims=True) / (size * other)
  return reference / (size * other) - cosine * e / size**2


@pytest.mark.parametrize("metric", distances.METRICS)
def test_pixels_of_a_linear_network(metric):
  module, variables, x, reference = case(channels=3)
  found, maps = saliency.pixel_saliency(
    module, variables, x, reference, metric=metric
  )
  up = directions(module, variables, x, reference, metric)
  kernel = np.asarray(variables["params"]["kernel"], np.float64)
  taps = np.asarray(variables["params"]["maps"]["kernel"][0, 0], np.float64)
  expected = np.zeros((PARTS, FRAMES, HEIGHT, WIDTH))
  for k in range(PARTS):
    # One gradient for all pixels of the strip, the mean over which it takes.
    by_channel = taps @ kernel[k] @ up[k] / (FRAMES * STRIP * WIDTH)
    strip = slice(k * STRIP, (k + 1) * STRIP)
    expected[k, :, strip] = np.abs(by_channel).max()
  np.testing.assert_allclose(maps, expected, rtol=1e-4)
  # The mean of the similarities is minus the distance of the protocol.
  e = module.apply(variables, x[None])["retrieval"]
  distance = distances.part_distances(e, reference[None], metric)
  np.testing.assert_allclose(-found.mean(), distance[0, 0], rtol=1e-5)


def test_a_part_sees_its_strip_and_its_receptive_field():
  module, variables, x, reference = case(size=3)
  _, maps = saliency.pixel_saliency(module, variables, x, reference)
  seen = np.asarray(maps.max(axis=(1, 3)) > 0)
  for k in range(PARTS):
    rows = np.arange(HEIGHT)
    # A pixel beyond the strip: that is how far 3 x 3 taps reach.
    expected = (rows >= k * STRIP - 1) & (rows <= (k + 1) * STRIP)
    np.testing.assert_array_equal(seen[k], expected)


def test_groups_are_sums_of_gradients_and_padding_has_none():
  module, variables, x, reference = case()
  weights = np.array([[0.5, 0.5, 0, 0], [0.25] * 4], np.float32)
  found, maps = saliency.pixel_saliency(
    module, variables, x, reference, weights=weights
  )
  parts, by_part = saliency.pixel_saliency(module, variables, x, reference)
  np.testing.assert_allclose(found, weights @ parts, rtol=1e-5)
  # Strips do not overlap, so absolute values add up, too.
  np.testing.assert_allclose(
    maps, np.einsum("gp,pshw->gshw", weights, by_part), rtol=1e-4, atol=1e-9
  )
  padded = np.concatenate([x, np.ones_like(x[:2])])
  again, longer = saliency.pixel_saliency(
    module, variables, padded, reference, weights=weights, length=FRAMES
  )
  np.testing.assert_allclose(again, found, rtol=1e-5)
  np.testing.assert_allclose(longer[:, :FRAMES], maps, rtol=1e-4)
  assert not np.any(longer[:, FRAMES:])


def test_grad_cam_of_a_linear_network():
  module, variables, x, reference = case(features=6)
  # Where a part has to grow to come nearer, its features count as positive.
  reference[:2] += 2 * module.apply(variables, x[None])["retrieval"][0, :2]
  found, maps = saliency.grad_cam(module, variables, x, reference, layer="maps")
  up = directions(module, variables, x, reference, "euclidean")
  kernel = np.asarray(variables["params"]["kernel"], np.float64)
  conv = variables["params"]["maps"]
  features = x[..., None] * np.asarray(conv["kernel"])[0, 0, 0]
  features = features + np.asarray(conv["bias"])
  # A strip is a quarter of the map, and the mean ranges over all of it.
  pixels = FRAMES * STRIP * WIDTH
  channel = np.einsum("pcd,pd->pc", kernel, up) / pixels / PARTS
  expected = np.einsum("shwc,pc->pshw", features, channel).clip(0)
  assert 0 < np.mean(expected > 0) < 1
  np.testing.assert_allclose(maps, expected, rtol=1e-3, atol=1e-7)
  padded = np.concatenate([x, np.ones_like(x)])
  again, longer = saliency.grad_cam(
    module, variables, padded, reference, layer="maps", length=FRAMES
  )
  np.testing.assert_allclose(again, found, rtol=1e-5)
  np.testing.assert_allclose(longer[:, :FRAMES], maps, rtol=1e-3, atol=1e-7)
  assert not np.any(longer[:, FRAMES:])


@pytest.mark.parametrize("layer, words", [("no", "0 times"), ("", "0 times")])
def test_a_layer_that_is_not_there(layer, words):
  module, variables, x, reference = case()
  with pytest.raises(ValueError, match=f"{words}.*maps"):
    saliency.grad_cam(module, variables, x, reference, layer=layer)


@pytest.mark.parametrize(
  "name",
  [
    "gaitbase",
    pytest.param("gaitset", marks=pytest.mark.slow),
    pytest.param("skeletongaitpp", marks=pytest.mark.slow),
  ],
)
def test_a_network_against_finite_differences(name):
  module = models.create_model(NETWORKS[name])
  rng = np.random.default_rng(0)
  channels = (3,) if module.in_channels > 1 else ()
  x = rng.uniform(size=(2, 64, 44, *channels)).astype(np.float32)
  variables = networks.random_variables(module)
  embed = jax.jit(lambda v: module.apply(variables, v[None])["retrieval"][0])
  e = embed(x)
  reference = e + rng.normal(size=e.shape).astype(np.float32)
  weights = np.stack(list(saliency.thirds(module.bins).values()))
  found, maps = saliency.pixel_saliency(
    module, variables, x, reference, weights=weights
  )
  assert maps.shape == (4, 2, 64, 44) and np.all(np.isfinite(maps))

  def scores(pixels):
    return weights @ saliency.part_similarity(embed(pixels), reference)

  gradients = jax.jit(jax.jacrev(scores))(x)
  # Along the signs of the gradient, in the channel where it is largest, the
  # similarity rises by the sum of the map.
  for g in (0, 3):
    gradient = np.asarray(gradients[g])
    way = np.sign(gradient)
    if channels:
      way *= np.abs(gradient) == np.abs(gradient).max(-1, keepdims=True)
    step = 1e-4
    rise = (scores(x + step * way)[g] - scores(x - step * way)[g]) / 2 / step
    np.testing.assert_allclose(rise, np.sum(maps[g]), rtol=0.02)


def test_what_equals_the_reference_has_no_gradient():
  module, variables, x, _ = case()
  e = module.apply(variables, x[None])["retrieval"][0]
  found, maps = saliency.pixel_saliency(module, variables, x, e)
  np.testing.assert_allclose(found, 0, atol=1e-6)
  assert np.all(np.isfinite(maps))
  same = jax.grad(lambda v: saliency.part_similarity(v, v).sum())(e)
  assert np.all(np.isfinite(same))
  with pytest.raises(ValueError, match="'x'; give one of"):
    saliency.part_similarity(e, e, "x")


def test_thirds_of_levels():
  found = saliency.thirds((4, 2, 1))
  assert list(found) == [
    "upper third",
    "middle third",
    "lower third",
    "all parts",
  ]
  # Halves and the whole are higher than a third.
  np.testing.assert_allclose(found["upper third"], [1, 0, 0, 0, 0, 0, 0])
  np.testing.assert_allclose(found["middle third"], [0, 0.5, 0.5, 0, 0, 0, 0])
  np.testing.assert_allclose(found["all parts"], np.full(7, 1 / 7), rtol=1e-6)
  assert list(saliency.thirds((2,))) == ["all parts"]
  sixteen = saliency.thirds((16,))
  counts = [np.count_nonzero(weights) for weights in sixteen.values()]
  assert counts == [5, 6, 5, 16]
