"""What the page shows of a network is the gradient of its clip."""

import logging

import jax
import numpy as np
import pytest

from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax.evaluation import embed
from gaitkd_jax.evaluation import page_saliency
from gaitkd_jax.evaluation import saliency
from tests.helpers import configs
from tests.helpers import networks


@pytest.fixture(scope="module")
def looks(prepared):
  config = configs.smoke_config(prepared, "walkers_teacher_maps")
  module = models.create_model(config.model)
  variables = networks.random_variables(module)
  mesh = sharding.create_mesh()
  # In a run every device of the mesh holds all variables.
  variables = jax.device_put(variables, sharding.replicated(mesh))
  embedder = embed.Embedder(config, module, mesh)
  rng = np.random.default_rng(0)
  shapes = jax.eval_shape(
    module.apply, variables, np.zeros((1, 1, 64, 44, 3), np.float32)
  )
  embeddings = rng.normal(size=(2, *shapes["retrieval"].shape[1:]))
  return page_saliency.PageSaliency(
    module, variables, embedder, embeddings, "cosine"
  ), (module, jax.device_get(variables), embedder, embeddings)


def test_maps_are_gradients_of_the_clip(looks):
  found, (module, variables, embedder, embeddings) = looks
  shown = found(3, 1)
  clip = embedder.clip(3, len(shown.frames))
  np.testing.assert_array_equal(shown.frames, clip["silhouettes"][0])
  groups = saliency.thirds(module.bins)
  assert list(shown.maps) == list(groups)

  @jax.jit
  @jax.grad
  def gradient(x, weights):
    out = module.apply(variables, x[None])["retrieval"][0]
    norms = [
      np.linalg.norm(embeddings[1], axis=1),
      jax.numpy.linalg.norm(out, axis=1),
    ]
    cosine = (out * embeddings[1]).sum(axis=1) / (norms[0] * norms[1])
    return (weights * cosine).sum()

  pixels = np.concatenate(
    [clip["heatmaps"][0], clip["silhouettes"][0][..., None]], axis=-1
  )
  for name in ("upper third", "all parts"):
    expected = np.abs(gradient(pixels / np.float32(255), groups[name]))
    expected = expected.max(axis=-1)
    np.testing.assert_allclose(
      shown.maps[name], expected, rtol=1e-2, atol=1e-3 * expected.max()
    )
    assert expected.max() > 0


def test_a_device_that_cannot_leaves_the_page(looks, monkeypatch, caplog):
  def fail(*args, **kwargs):
    raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: memory\nmore")

  monkeypatch.setattr(saliency, "pixel_saliency", fail)
  with caplog.at_level(logging.WARNING):
    assert looks[0](3, 1) is None
  assert "RESOURCE_EXHAUSTED: memory" in caplog.text
  assert "more" not in caplog.text
