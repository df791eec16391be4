"""The protocol against the reference's evaluator, and its edges."""

import json

import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax import evaluate
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
