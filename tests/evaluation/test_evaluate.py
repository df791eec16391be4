"""The protocol against the reference's evaluator, and its edges."""

import json

import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.evaluation import evaluate
from gaitkd_jax.evaluation import tables
from tests.parity import vectors


@pytest.fixture(scope="module")
def casiab():
  arrays, _ = vectors.load("eval_casiab")
  results = json.loads(bytes(arrays.pop("results")))
  arrays["embeddings"] = np.swapaxes(arrays["embeddings"], 1, 2)
  return arrays, results


@pytest.mark.parametrize(
  "metric, theirs", [("euclidean", "euc"), ("cosine", "cos")]
)
def test_casiab_parity(casiab, metric, theirs):
  arrays, results = casiab
  ours = evaluate.evaluate_embeddings("casiab", **arrays, metric=metric)
  for name in ("NM", "BG", "CL"):
    expected = results[theirs][f"{name}@R1"]
    assert abs(ours[f"{name}/rank1"] - expected) < 1e-9
  assert ours["mean/rank1"] == pytest.approx(
    np.mean([ours[f"{c}/rank1"] for c in ("NM", "BG", "CL")])
  )


def walkers(views=("000", "090"), subjects=("1", "2")):
  """One gallery and one probe sequence a subject and view, told apart."""
  rows = [
    (s, c, v) for s in subjects for c in ("nm-01", "nm-05") for v in views
  ]
  s, c, v = map(np.array, zip(*rows, strict=True))
  embeddings = s.astype(np.float32)[:, None, None] * np.ones((1, 3, 2))
  return dict(embeddings=embeddings, subjects=s, conditions=c, views=v)


def test_perfect_and_wrong():
  data = walkers()
  assert evaluate.evaluate_embeddings("casiab", **data)["NM/rank1"] == 100
  data["subjects"] = np.where(data["conditions"] == "nm-05", "9", "1")
  assert evaluate.evaluate_embeddings("casiab", **data)["NM/rank1"] == 0


def test_one_view_has_no_cross_view_figure():
  results = evaluate.evaluate_embeddings("casiab", **walkers(views=("090",)))
  assert np.isnan(results["NM/rank1"])
  assert results["NM/rank1_identical_view"] == 100


@pytest.mark.parametrize(
  "change, words",
  [
    (dict(conditions=np.array(["cl-01"] * 8)), "gallery condition"),
    (dict(conditions=np.array(["nm-01"] * 8)), "probe condition"),
    (dict(subjects=np.array(["1"])), "1 subjects"),
    (dict(embeddings=np.full((8, 3, 2), np.nan)), "1-nm-01-000"),
  ],
)
def test_bad_input_is_one_line(change, words):
  with pytest.raises(errors.UserError, match=words):
    evaluate.evaluate_embeddings("casiab", **(walkers() | change))
  with pytest.raises(errors.UserError, match="euclidean"):
    evaluate.evaluate_embeddings("casiab", **walkers(), metric="cos")
  with pytest.raises(errors.UserError, match="casiab"):
    evaluate.evaluate_embeddings("casia", **walkers())


CASIAB_TABLE = """\
Rank-1 (%) by probe view, identical views left out
           000    018   mean
NM       90.00 100.00  95.00
BG        1.25   2.00   1.62
mean                   48.31"""

PLAIN_TABLE = """\
All figures (%)
         rank1 rank10    mAP
all      50.00 100.00  33.33"""

CCPG_TABLE = """\
Rank-1 (%) by probe view, identical views left out
            01   mean
CL       40.00  40.00
mean            40.00

All figures (%)
         rank1 rank1_all_views reid_rank1
CL       40.00           45.00
mean     40.00           45.00      50.00
rank1 is the gait protocol"""


def test_tables():
  assert (
    tables.format_table(
      {
        "NM/view/000": 90.0,
        "NM/view/018": 100.0,
        "NM/rank1": 95.0,
        "NM/rank1_identical_view": 99.0,
        "BG/view/000": 1.25,
        "BG/view/018": 2.0,
        "BG/rank1": 1.625,
        "mean/rank1": 48.3125,
      }
    )
    == CASIAB_TABLE
  )
  assert (
    tables.format_table(
      {"all/rank1": 50.0, "all/rank10": 100.0, "all/mAP": 100 / 3}
    )
    == PLAIN_TABLE
  )
  text = tables.format_table(
    {
      "CL/view/01": 40.0,
      "CL/rank1": 40.0,
      "CL/rank1_all_views": 45.0,
      "mean/rank1": 40.0,
      "mean/rank1_all_views": 45.0,
      "mean/reid_rank1": 50.0,
    }
  )
  assert (
    "\n".join(line.rstrip() for line in text.split("\n"))[: len(CCPG_TABLE)]
    == CCPG_TABLE
  )
  longest = {f"overall_long/view/{i:03}": 1.0 for i in range(15)}
  assert tables.format_table(longest | {"overall_long/rank1": 1.0}) == (
    "Rank-1 (%) by probe view, identical views left out\n"
    "                mean\n"
    "overall_long    1.00"
  )
