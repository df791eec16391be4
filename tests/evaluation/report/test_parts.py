"""Parts of the report: probes that are shown, curves, how files are written."""

import json

import jax
import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.evaluation.protocols import Trial
from gaitkd_jax.evaluation.protocols import ranks
from gaitkd_jax.evaluation.report import charts
from gaitkd_jax.evaluation.report import curves
from gaitkd_jax.evaluation.report import matches
from tests.evaluation.report import test_page

LINE = np.array([0.0, 10, 20, 30, 0.5, 10.2, 19.9, 22.0, 26.0])
LINE_SUBJECTS = np.array(["a", "b", "c", "d", "a", "b", "c", "d", "b"])


def line_set():
  """Gallery a, b, c, d at 0, 10, 20, 30; probes near, d and the second b not.

  The probe d at 22 meets c, then d: rank 2. The second b at 26 meets d, c, b:
  rank 3. Of the others c is 9.8 closer to its own than to the next, b 9.6, a 9.
  """
  ranker = matches.RememberingRanker(
    LINE[:, None, None].astype(np.float32), LINE_SUBJECTS, "euclidean"
  )
  return ranker, Trial("line", np.arange(4, 9), np.arange(4))


def test_worst_and_best_are_found():
  ranker, trial = line_set()
  found = matches.find(ranker, [trial], worst=2, best=2)
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
  ranker, _ = line_set()
  # At 18 and at 22 c is nearest and b and d come next; d is farther behind.
  line = np.array([10, 20, 30, 16, 22.0])[:, None, None].astype(np.float32)
  subjects = np.array(["b", "c", "d", "b", "d"])
  ranker = matches.RememberingRanker(line, subjects, "euclidean")
  trial = Trial("line", np.array([3, 4]), np.arange(3))
  found = matches.find(ranker, [trial])
  assert [shown.row for shown in found.worst] == [4, 3]


def test_conditions_take_turns_and_so_do_subjects():
  # Probes of subject a are worse than any of b.
  line = np.array([0, 10, 20, 30, 8, 9, 7, 12.0])[:, None, None]
  subjects = np.array(["a", "b", "x", "y", "a", "a", "a", "b"])
  subjects[7] = "x"
  ranker = matches.RememberingRanker(
    line.astype(np.float32), subjects, "euclidean"
  )
  gallery = np.arange(4)
  one = Trial("one", np.array([4, 5, 6, 7]), gallery)
  two = Trial("two", np.array([5]), gallery)
  found = matches.find(ranker, [one, two], worst=2)
  assert [(s.trial, s.row) for s in found.worst] == [("one", 5), ("one", 7)]
  found = matches.find(ranker, [one], worst=3)
  assert [s.row for s in found.worst] == [5, 7, 4]


@pytest.mark.parametrize("memory_gib", [1.0, 9e-5])
@pytest.mark.parametrize("excluded", ["", "own_view", "view"])
def test_ranks_are_the_rankers(excluded, memory_gib):
  labels = test_page.cross(
    [f"{i}" for i in range(60)], ["p", "g"], ["0", "1", "2"]
  )
  embeddings = test_page.embed(labels, spread=2)
  embeddings[9::12] = embeddings[3::12]  # two subjects at equal distances
  ranker = ranks.Ranker(
    embeddings, labels[0], "euclidean", memory_gib, jax.devices()[:1]
  )
  probes, gallery = (np.flatnonzero(labels[1] == c) for c in "pg")
  trial = Trial("x", probes, gallery, labels[2] if excluded else None, excluded)
  blocks = {g.start for _, g, _ in ranker.blocks(probes, gallery)}
  assert len(blocks) == (1 if memory_gib == 1 else 2)
  found = matches.rank(ranker, trial)
  views = labels[2]
  if excluded == "own_view":
    lists = ranker.all_matches(probes, gallery, views)
    expected = [m[0] for m in lists]
  elif excluded:
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


def test_a_log_is_read_to_where_it_was_cut_off(tmp_path):
  path = tmp_path / "metrics.jsonl"
  rows = [
    {"step": 1, "train/loss": 4.0},
    {"step": 2, "train/loss": None, "train/accuracy": 0.5},
    {"step": 3, "train/loss": 2.0},
  ]
  text = "\n".join(map(json.dumps, rows))
  path.write_text(text + '\n{"step": 5, "train/lo')
  series = curves.read(path)
  assert set(series) == {"train/loss", "train/accuracy"}
  steps, loss = series["train/loss"]
  np.testing.assert_array_equal(steps, [1, 2, 3])
  np.testing.assert_array_equal(loss, [4, np.nan, 2])


def test_curves_are_thinned_evenly_over_decades():
  x = np.arange(1, 1_000_001) / 1e6
  kept, y = charts.thinned(x, 2 * x)
  assert len(kept) <= 1500
  assert kept[0] == x[0]
  assert kept[-1] == x[-1]
  np.testing.assert_array_equal(y, 2 * kept)
  counts = np.histogram(np.log10(kept), bins=[-3, -2, -1, 0.01])[0]
  assert counts.min() > 200


def test_nothing_is_half_written(tmp_path):
  def fail(row, frames):
    raise errors.UserError("the silhouettes are gone")

  path = tmp_path / "eval" / "7.html"
  with pytest.raises(errors.UserError, match="gone"):
    test_page.write(path, "grew", test_page.GREW, strips=fail)
  assert not list(tmp_path.iterdir())
  test_page.write(path, "grew", test_page.GREW)
  before = path.read_bytes()
  with pytest.raises(errors.UserError, match="gone"):
    test_page.write(path, "grew", test_page.GREW, strips=fail)
  assert path.read_bytes() == before
  names = {p.name for p in tmp_path.rglob("*")}
  assert names == {"eval", "7", "7.html", "cmc.png"}


def test_a_folder_that_cannot_be_written(tmp_path):
  (tmp_path / "eval").write_text("a file")
  with pytest.raises(errors.UserError, match="cannot be written") as e:
    test_page.write(tmp_path / "eval" / "7.html", "grew", test_page.GREW)
  assert "\n" not in str(e.value)


def test_failing_on_the_way_leaves_the_old_page(tmp_path):
  test_page.write(tmp_path / "7.html", "grew", test_page.GREW)
  before = (tmp_path / "7.html").read_bytes()
  # A folder where a chart should go cannot be replaced by it.
  chart = tmp_path / "7" / "cmc.png"
  chart.unlink()
  chart.mkdir()
  with pytest.raises(errors.UserError, match="cannot be written"):
    test_page.write(
      tmp_path / "7.html", "grew", test_page.GREW, facts={"step": "8"}
    )
  assert (tmp_path / "7.html").read_bytes() == before
  assert {p.name for p in tmp_path.rglob("*")} == {"7", "7.html", "cmc.png"}
