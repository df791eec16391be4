"""Verdicts, and their threshold, against loops over all pairs."""

import jax
import numpy as np
import pytest

from gaitkd_jax.evaluation import distances
from gaitkd_jax.evaluation import search
from gaitkd_jax.evaluation.search import verdict
from tests.evaluation.search import test_neighbours
from tests.helpers import mistakes

TINY = test_neighbours.TINY


def gallery(rows=60, subjects=7, spread=0.6, seed=0):
  """Embeddings of some people, whose sequences lie in no order; one is alone.

  Returns:
    float32 `[rows, 3, 8]` and str `[rows]`.
  """
  rng = np.random.default_rng(seed)
  who = rng.integers(0, subjects - 1, rows)
  who[rows // 2] = subjects - 1
  centres = rng.normal(size=(subjects, 3, 8))
  values = centres[who] + spread * rng.normal(size=(rows, 3, 8))
  return values.astype(np.float32), np.char.mod("%03d", who)


def matrix(values, metric):
  x = values.astype(np.float64)
  if metric == "cosine":
    x = x / np.linalg.norm(x, axis=2, keepdims=True)
    return 1 - np.einsum("apd,bpd->ab", x, x) / x.shape[1]
  return np.stack([np.linalg.norm(x - y, axis=2).mean(1) for y in x])


def by_hand(values, subjects, metric="euclidean"):
  """What `nearest_by_subject` is to find, sequence by sequence."""
  apart = matrix(values, metric)
  others, own = [], []
  for i, subject in enumerate(subjects):
    others.append(apart[i, subjects != subject].min(initial=np.inf))
    fellows = (subjects == subject) & (np.arange(len(subjects)) != i)
    own.append(apart[i, fellows].min(initial=np.inf))
  return np.array(others), np.array(own)


@pytest.mark.parametrize("metric", distances.METRICS)
@pytest.mark.parametrize("devices", [1, 8])
@pytest.mark.parametrize("memory_gib", [1.0, TINY])
def test_the_nearest_within_a_gallery(metric, devices, memory_gib):
  values, subjects = gallery(1500, 40)
  devices = jax.devices()[:devices]
  if memory_gib == TINY:
    memory_gib *= 1 + len(devices) / 4
    blocks = search.Blocks(values, values, metric, memory_gib, devices)
    assert len(blocks.probe_slices) > 1 and (
      len(blocks.gallery_slices) > 1 or len(devices) > 1
    )
  found = verdict.nearest_by_subject(
    values, subjects, metric, memory_gib, devices
  )
  expected = by_hand(values, subjects, metric)
  assert np.isinf(expected[1]).sum() == 1
  for x, y in zip(found, expected, strict=True):
    np.testing.assert_allclose(x, y, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("rate", [1 / 60, 0.05, 0.1, 0.29, 0.5, 0.99])
def test_the_threshold_is_the_longest_that_keeps_the_rate(rate):
  values, subjects = gallery(spread=1.0)
  found = search.threshold_at(rate, values, subjects)
  others, _ = by_hand(values, subjects)
  # The threshold is one of the distances, or a bit below the first of them.
  rounded = found.distance * (1 + (1e-6 if found.accepted else -1e-6))
  reached = others <= rounded
  assert found.accepted == reached.sum() <= rate * 60 + 1e-6
  # The next would be too many, with those that are as far.
  beyond = others[~reached].min()
  assert (others <= beyond * (1 + 1e-6)).mean() > rate
  if found.accepted:
    assert found.distance == pytest.approx(others[reached].max(), rel=1e-5)
  assert found.strangers == 60 and found.subjects == 7
  assert found.known == 59
  # Rightly named: searched in all the rest, as a probe is.
  apart = matrix(values, "euclidean")
  np.fill_diagonal(apart, np.inf)
  first = apart.argmin(axis=1)
  right = subjects[first] == subjects
  right &= apart.min(axis=1) <= rounded
  assert found.named == right.sum()
  assert 0 < found.named < 59


def test_strangers_are_let_in_at_the_rate():
  """People who are not in the gallery, of the same kind as those who are."""
  values, subjects = gallery(3000, 300, spread=0.8)
  inside = subjects < "150"
  known, strangers = values[inside], values[~inside]
  found = search.threshold_at(0.1, known, subjects[inside])
  distance, rows = search.nearest(strangers, known, 1)
  verdicts = search.decide(distance, rows, subjects[inside], found.distance)
  named = np.mean([one.subject is not None for one in verdicts])
  assert 0.07 < named < 0.13
  # The threshold of pairs would let in most of them.
  apart = distances.part_distances(known, known)
  pairs = apart[subjects[inside][:, None] != subjects[inside][None, :]]
  assert (distance[:, 0] <= np.quantile(pairs, 0.1)).mean() > 0.9


def test_equal_distances_are_let_in_together():
  # Four strangers at 1, two at 2.
  values = np.array([0, 1, 10, 11, 20, 22], np.float32)[:, None, None]
  subjects = np.array(list("abcdef"))
  for rate, distance, accepted in ((0.7, 1, 4), (0.9, 1, 4)):
    found = search.threshold_at(rate, values, subjects)
    assert (found.distance, found.accepted) == (distance, accepted)
  # Three of six are allowed, and there are four or none.
  found = search.threshold_at(0.5, values, subjects)
  assert 0.999 < found.distance < 1 and found.accepted == 0
  copies = np.array([0, 0, 10, 11, 20, 22], np.float32)[:, None, None]
  text = mistakes.message(search.threshold_at, 0.2, copies, subjects)
  assert "2 of the 6 sequences of the gallery equal one of another" in text
  assert search.threshold_at(0.4, copies, subjects).distance == 0


def test_who_is_near_enough_is_named():
  distance = np.array([[0.5, 0.7], [0.75, 0.8], [0.9, 0.9]], np.float32)
  rows = np.array([[2, 0], [1, 2], [0, 1]], np.int32)
  subjects = np.array(["0012", "7", "unlike"])
  found = search.decide(distance, rows, subjects, 0.75)
  assert [one.subject for one in found] == ["unlike", "7", None]
  assert [one.name for one in found] == ["unlike", "7", "unknown"]
  assert str(found[1]) == "7 (0.7500 <= 0.7500)"
  assert str(found[2]) == "unknown (0.9000 > 0.7500)"
  # In float32 as the distances are, where 0.9 is less.
  assert search.decide(distance, rows, subjects, 0.9)[2].subject == "0012"


@pytest.mark.parametrize(
  "rate, words",
  [
    (0.016, "at least 63 sequences, .* has 60; give at least 0.0167"),
    (0.001, "needs a gallery of at least 1000 sequences"),
    (1e-5, "needs a gallery of at least 100000 sequences"),
    (0.0, "is 0.0; give one between 0 and 1"),
    (1.0, "between 0 and 1"),
    (float("nan"), "is nan; give one"),
  ],
)
def test_rates_that_a_gallery_cannot_resolve(rate, words):
  values, subjects = gallery()
  with pytest.raises(mistakes.errors.UserError, match=words) as caught:
    search.threshold_at(rate, values, subjects)
  assert "\n" not in str(caught.value)


def test_the_rate_that_is_advised_is_resolved():
  for count in range(2, 400):
    subjects = np.arange(count).astype(str)
    text = mistakes.message(verdict.check_subjects, subjects, 0.9 / count)
    advised = float(text.partition("give at least ")[2].split(",")[0])
    verdict.check_subjects(subjects, advised)
    # Of 49, one in 49 is one, though 1 / 49 * 49 is less.
    verdict.check_subjects(subjects, 1 / count)
    least = int(text.partition("gallery of at least ")[2].split()[0])
    verdict.check_subjects(np.arange(least).astype(str), 0.9 / count)


def test_galleries_that_give_no_verdicts():
  values, subjects = gallery()
  nameless = np.where(subjects == "003", "", subjects)
  count = (nameless == "").sum()
  text = mistakes.message(search.threshold_at, 0.1, values, nameless)
  assert text.startswith(f"{count} of the 60 sequences of the gallery have no")
  found = np.zeros((1, 1), np.float32), np.zeros((1, 1), np.int32)
  assert "no subject" in mistakes.message(search.decide, *found, nameless, 1.0)
  for threshold in (-1.0, float("nan"), float("inf"), 1e300):
    text = mistakes.message(search.decide, *found, subjects, threshold)
    assert f"the threshold is {threshold}; give a distance" in text
  alone = np.full(60, "a")
  text = mistakes.message(search.threshold_at, 0.1, values, alone)
  assert "has 1 subject" in text
  broken = values.copy()
  broken[7] = 3e38
  text = mistakes.message(search.threshold_at, 0.1, broken, subjects)
  assert "not finite" in text
