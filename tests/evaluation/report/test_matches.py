"""The best and the worst probes."""

import jax
import numpy as np
import pytest

from gaitkd_jax.evaluation.protocols import probe_gallery
from gaitkd_jax.evaluation.protocols import ranker as ranker_lib
from gaitkd_jax.evaluation.protocols import ranks as ranks_lib
from gaitkd_jax.evaluation.report import matches
from tests.helpers import evaluation_sets as sets

LINE = np.array([0.0, 10, 20, 30, 0.5, 10.2, 19.9, 22.0, 26.0])
LINE_SUBJECTS = np.array(["a", "b", "c", "d", "a", "b", "c", "d", "b"])


def line_set():
  """Gallery a, b, c, d at 0, 10, 20, 30; probes near, d and the second b not.

  The probe d at 22 meets c, then d: rank 2. The second b at 26 meets d, c, b:
  rank 3. Of the others c is 9.8 closer to its own than to the next, b 9.6, a 9.
  """
  ranker = ranker_lib.Ranker(
    LINE[:, None, None].astype(np.float32), LINE_SUBJECTS, "euclidean"
  )
  return ranker, probe_gallery.ProbeGallery(
    "line", np.arange(4, 9), np.arange(4)
  )


def ranked(ranker, *compared):
  """Ranks of galleries that are searched as a whole."""
  return [
    ranks_lib.Ranks(c, ranker.first_matches(c.probes, c.gallery)[:, None])
    for c in compared
  ]


def test_worst_and_best_are_found():
  ranker, compared = line_set()
  found = matches.find(ranker, ranked(ranker, compared), worst=2, best=2)
  assert [shown.row for shown in found.worst] == [8, 7]
  worst = found.worst[0]
  assert worst.right == matches.Match(1, 3, 16)
  assert worst.wrong == (matches.Match(3, 1, 4), matches.Match(2, 2, 6))
  assert worst.compared == 4
  # Only what is ahead of the right match.
  assert [m.row for m in found.worst[1].wrong] == [2]
  assert [shown.row for shown in found.best] == [6, 5]
  assert [(m.row, m.rank) for m in found.best[0].wrong] == [(1, 2)]
  assert not found.unmatched


def test_ties_are_settled_by_the_margin():
  # At 18 and at 22 c is nearest and b and d come next; d is farther behind.
  line = np.array([10, 20, 30, 16, 22.0])[:, None, None].astype(np.float32)
  subjects = np.array(["b", "c", "d", "b", "d"])
  ranker = ranker_lib.Ranker(line, subjects, "euclidean")
  compared = probe_gallery.ProbeGallery("line", np.array([3, 4]), np.arange(3))
  found = matches.find(ranker, ranked(ranker, compared))
  assert [shown.row for shown in found.worst] == [4, 3]


def test_conditions_take_turns_and_so_do_subjects():
  # Probes of subject a are worse than any of b.
  line = np.array([0, 10, 20, 30, 8, 9, 7, 12.0])[:, None, None]
  subjects = np.array(["a", "b", "x", "y", "a", "a", "a", "b"])
  subjects[7] = "x"
  ranker = ranker_lib.Ranker(line.astype(np.float32), subjects, "euclidean")
  gallery = np.arange(4)
  one = probe_gallery.ProbeGallery("one", np.array([4, 5, 6, 7]), gallery)
  two = probe_gallery.ProbeGallery("two", np.array([5]), gallery)
  found = matches.find(ranker, ranked(ranker, one, two), worst=2)
  assert [(s.condition, s.row) for s in found.worst] == [("one", 5), ("one", 7)]
  found = matches.find(ranker, ranked(ranker, one), worst=3)
  assert [s.row for s in found.worst] == [5, 7, 4]


@pytest.mark.parametrize("memory_gib", [1.0, 9e-5])
@pytest.mark.parametrize("excluded", list(probe_gallery.Excluded))
def test_ranks_are_the_rankers(excluded, memory_gib):
  labels = sets.cross([f"{i}" for i in range(60)], ["p", "g"], ["0", "1", "2"])
  embeddings = sets.embed(labels, spread=2)
  embeddings[9::12] = embeddings[3::12]  # two subjects at equal distances
  ranker = ranker_lib.Ranker(
    embeddings, labels.subjects, "euclidean", memory_gib, jax.devices()[:1]
  )
  probes, gallery = (np.flatnonzero(labels.conditions == c) for c in "pg")
  views = labels.views
  compared = probe_gallery.ProbeGallery(
    "x",
    probes,
    gallery,
    None if excluded is probe_gallery.Excluded.NOTHING else views,
    excluded,
  )
  blocks = {g.start for _, g, _ in ranker.blocks(probes, gallery)}
  assert len(blocks) == (1 if memory_gib == 1 else 2)
  found = matches.nearest(ranker, compared)
  if excluded is probe_gallery.Excluded.SUBJECT_IN_VIEW:
    lists = ranker.all_matches(probes, gallery, views)
    expected = [m[0] for m in lists]
  elif excluded is probe_gallery.Excluded.VIEW:
    expected = np.zeros(len(probes), int)
    for view in "012":
      seen = views[probes] == view
      expected[seen] = ranker.first_matches(
        probes[seen], gallery[views[gallery] != view]
      )
  else:
    expected = ranker.first_matches(probes, gallery)
  np.testing.assert_array_equal(found.rank, expected)
  assert found.rank.max() > 5
  # A rank that is known is taken as it is.
  known = matches.nearest(ranker, compared, found.rank + 1)
  np.testing.assert_array_equal(known.rank, found.rank + 1)
  np.testing.assert_array_equal(known.right, found.right)
  np.testing.assert_array_equal(known.wrong, found.wrong)
