"""Places on a plane: neighbours stay neighbours, and nothing is random."""

import jax
import numpy as np
import pytest

from gaitkd_jax.evaluation import distances
from gaitkd_jax.evaluation.protocols import ranker as ranker_lib
from gaitkd_jax.evaluation.report import projection


def groups(people=4, each=12):
  """Embeddings `[n, 2, 3]` of people who are far apart, and who they are."""
  rng = np.random.default_rng(0)
  centres = 20 * rng.normal(size=(people, 2, 3))
  subjects = np.repeat(np.arange(people), each)
  noise = rng.normal(size=(len(subjects), 2, 3))
  return (centres[subjects] + noise).astype(np.float32), subjects


def nearest_is_right(places, subjects):
  apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
  np.fill_diagonal(apart, np.inf)
  return np.mean(subjects[apart.argmin(axis=1)] == subjects)


@pytest.mark.parametrize("metric", distances.METRICS)
def test_distances_are_the_protocols(metric):
  embeddings, subjects = groups(each=80)
  ranker = ranker_lib.Ranker(
    embeddings, subjects.astype(str), metric, 9e-5, jax.devices()[:1]
  )
  rows = np.flatnonzero(np.arange(len(subjects)) % 7)
  # What blocks give has to be put together.
  assert len(list(ranker.blocks(rows, rows))) > 1
  found = projection.distances(ranker, rows)
  chosen = embeddings[rows]
  expected = distances.part_distances(chosen, chosen, metric)
  np.fill_diagonal(expected, 0)
  np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
  np.testing.assert_array_equal(found, found.T)
  assert not np.diagonal(found).any()


@pytest.mark.parametrize(
  "kind, library",
  [
    ("tsne", "sklearn"),
    pytest.param("umap", "umap", marks=pytest.mark.slow),
  ],
)
def test_neighbours_stay_neighbours(kind, library):
  pytest.importorskip(library)
  embeddings, subjects = groups()
  distance = distances.part_distances(embeddings, embeddings)
  distance = (distance + distance.T) / 2
  np.fill_diagonal(distance, 0)
  places = projection.project(distance, kind)
  assert places.shape == (48, 2) and places.dtype == np.float32
  assert nearest_is_right(places, subjects) == 1
  # Of subjects who are drawn by lot, the nearest is right by accident only.
  shuffled = np.random.default_rng(1).permutation(subjects)
  assert nearest_is_right(places, shuffled) < 0.6
  np.testing.assert_array_equal(projection.project(distance, kind), places)
  assert (projection.project(distance, kind, seed=1) != places).any()


@pytest.mark.parametrize("items", [5, 6, 40])
def test_equal_sequences(items):
  places = projection.project(np.zeros((items, items), np.float32), "tsne")
  assert np.isfinite(places).all()


def test_what_makes_no_map():
  with pytest.raises(ValueError, match="4 sequences make no map; give 5"):
    projection.project(np.zeros((4, 4)), "tsne")
  with pytest.raises(ValueError, match="'pca'; give one of tsne, umap"):
    projection.project(np.zeros((9, 9)), "pca")


def test_subjects_are_drawn_whole():
  # Subject i has i + 1 sequences.
  subjects = np.repeat(np.arange(20), np.arange(1, 21))
  drawn = projection.draw(subjects, told_apart=3, most=100)
  np.testing.assert_array_equal(drawn.subjects, [17, 18, 19])
  assert len(drawn.rows) == 100 == len(set(drawn.rows))
  for subject in drawn.subjects:
    assert np.sum(subjects[drawn.rows] == subject) == subject + 1
  np.testing.assert_array_equal(drawn.rows, np.sort(drawn.rows))
  again = projection.draw(subjects, told_apart=3, most=100)
  np.testing.assert_array_equal(again.rows, drawn.rows)
  other = projection.draw(subjects, told_apart=3, most=100, seed=1)
  assert (other.rows != drawn.rows).any()
  everyone = projection.draw(subjects, told_apart=50)
  assert len(everyone.rows) == 210 and len(everyone.subjects) == 20
  few = projection.draw(subjects, told_apart=3, most=10)
  assert set(subjects[few.rows]) <= {17, 18, 19} and len(few.rows) == 10


def test_equals_are_drawn_by_lot():
  subjects = np.repeat(np.arange(30), 4)
  one, two = (projection.draw(subjects, 12, seed=s).subjects for s in (0, 1))
  assert set(one) != set(two) and list(one) != list(range(12))
