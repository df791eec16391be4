"""Blocks of distances: the same as the whole matrix, within a budget."""

import jax
import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.evaluation import distances
from gaitkd_jax.evaluation import search

# A few of these make several blocks of the smallest size of both sides.
TINY = 0.0004


def people(rows, seed=0, dtype=np.float32, parts=3, channels=8):
  rng = np.random.default_rng(seed)
  return rng.normal(size=(rows, parts, channels)).astype(dtype)


def test_a_budget_is_kept_or_refused():
  probes, gallery = people(2000), people(20_000, 1)
  for gib in (TINY, 0.01, 0.1):
    blocks = search.Blocks(probes, gallery, "cosine", gib, jax.devices()[:2])
    matrix = blocks.probe_rows * blocks.gallery_rows * 4
    held = 4 * 24 * (blocks.gallery_rows + 2 * blocks.probe_rows)
    assert matrix + held <= gib * 2**30
    assert blocks.gallery_rows % 256 == 0
  with pytest.raises(errors.UserError, match="at least 0.00") as e:
    search.Blocks(probes, gallery, "cosine", 1e-6)
  least = float(str(e.value).split()[-1])
  assert search.Blocks(probes, gallery, "cosine", least * 1.1)


@pytest.mark.parametrize("metric", distances.METRICS)
def test_blocks_are_parts_of_the_matrix(metric):
  embeddings = people(2400)
  probes = search.Rows(embeddings, np.arange(0, 2400, 4)[::-1])
  gallery = search.Rows(embeddings, np.arange(1, 2400, 2))
  blocks = search.Blocks(probes, gallery, metric, TINY, jax.devices()[:1])
  found = np.full((600, 1200), np.nan, np.float32)
  for block in blocks:
    found[block.probes, block.gallery] = blocks.distances_on_host(block)
  assert len(blocks.gallery_slices) > 1 and len(blocks.probe_slices) > 1
  expected = distances.part_distances(probes[:], gallery[:], metric)
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_only_blocks_that_are_wanted():
  blocks = search.Blocks(
    people(600), people(1200), "cosine", TINY, jax.devices()[:1]
  )
  last = blocks.gallery_slices[-1]
  chosen = list(blocks.where(lambda probes, gallery: gallery == last))
  assert [block.gallery for block in chosen] == [last] * len(
    blocks.probe_slices
  )
  assert chosen[0].items.shape == (3, blocks.gallery_rows, 8)


@pytest.mark.parametrize(
  ("probes", "gallery", "wanted"),
  [
    (1100, 2200, (384, 2304)),  # CASIA-B: three blocks of 367, filled up
    (512, 128, (512, 128)),
    (513, 129, (288, 256)),
    (1, 1, (16, 128)),
  ],
)
def test_blocks_are_filled_alike(probes, gallery, wanted):
  blocks = search.Blocks(
    people(probes), people(gallery), "cosine", 1.0, jax.devices()[:1]
  )
  assert (blocks.probe_rows, blocks.gallery_rows) == wanted


def test_blocks_of_a_large_gallery_are_filled_alike():
  probes, gallery = people(512), people(20_000)
  for gib in (0.02, 0.03, 0.05):
    blocks = search.Blocks(probes, gallery, "cosine", gib, jax.devices()[:1])
    count = len(blocks.gallery_slices)
    assert count > 1
    assert 20_000 <= count * blocks.gallery_rows <= 1.125 * 20_000 + 128 * count
