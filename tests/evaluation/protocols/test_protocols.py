"""Every protocol against the reference's evaluator, ranks, and the edges."""

import json
import re

import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.evaluation import evaluate
from gaitkd_jax.evaluation.protocols import PROTOCOLS
from gaitkd_jax.evaluation.protocols import ranks
from gaitkd_jax.evaluation.protocols import retrieval
from tests.parity import vectors

SUSTECH1K = {
  "Normal": "normal",
  "Bag": "bag",
  "Clothing": "clothing",
  "Carrying": "carrying",
  "Umberalla": "umbrella",  # the reference's spelling
  "Uniform": "uniform",
  "Occlusion": "occlusion",
  "Night": "night",
  "Overall": "overall",
}


def load(name):
  """Arguments of `evaluate_embeddings` and the reference's results."""
  arrays, _ = vectors.load(f"eval_{name}")
  results = json.loads(bytes(arrays.pop("results")))
  arrays["embeddings"] = np.swapaxes(arrays["embeddings"], 1, 2)
  return arrays, results


def check(ours, expected, tolerance=1e-9):
  assert expected
  for name, value in expected.items():
    assert abs(ours[name] - value) < tolerance, (name, ours[name], value)


def test_oumvlp_parity():
  arrays, results = load("oumvlp")
  ours = evaluate.evaluate_embeddings("oumvlp", **arrays)
  check(ours, {"all/rank1": results["euc"]["NM@R1"]})


def test_sustech1k_parity():
  arrays, results = load("sustech1k")
  ours = evaluate.evaluate_embeddings("sustech1k", **arrays)
  check(
    ours, {f"{SUSTECH1K[k[:-3]]}/rank1": v for k, v in results["euc"].items()}
  )
  printed = re.findall(r"(\w+)@R(\d): ([\d.]+)%", "".join(results["printed"]))
  assert len(printed) == 9 * 5
  check(
    ours,
    {f"{SUSTECH1K[c]}/rank{k}": float(v) for c, k, v in printed},
    0.0051,
  )
  by_view = re.search(r"Overall@R1: \[(.*?)\]", "".join(results["printed"]))
  views = np.unique(arrays["views"])
  for view, value in zip(views, by_view[1].split(), strict=True):
    check(ours, {f"overall/view/{view}": float(value)}, 0.0051)


@pytest.mark.parametrize(
  "metric, theirs", [("euclidean", "euc"), ("cosine", "cos")]
)
def test_gait3d_parity(metric, theirs):
  arrays, results = load("gait3d")
  ours = evaluate.evaluate_embeddings("gait3d", **arrays, metric=metric)
  check(
    ours,
    {
      f"all/{k.replace('Rank-', 'rank')}": v for k, v in results[theirs].items()
    },
    1e-4,  # the reference's Rank-k are float32
  )


def test_grew_parity():
  arrays, results = load("grew_labelled")
  ours = evaluate.evaluate_embeddings("grew", **arrays)
  printed = results["printed"]
  assert printed[::2] == [f"==Rank-{k}==" for k in (1, 5, 10, 20)]
  check(
    ours,
    {
      f"all/rank{k}": float(v)
      for k, v in zip((1, 5, 10, 20), printed[1::2], strict=True)
    },
  )


def test_ccpg_parity():
  arrays, results = load("ccpg")
  ours = evaluate.evaluate_embeddings("ccpg", **arrays)
  figures = ("reid_rank1", "reid_mAP", "reid_mINP", "rank1_all_views", "rank1")
  lines = [line for line in results["printed"] if line.count(":") == 4]
  for figure, line in zip(figures, lines, strict=True):
    for name, value in re.findall(r"(\w\w): ([\d.]+)", line):
      check(ours, {f"{name}/{figure}": float(value)}, 0.00051)
  for name, pairs in results["rank1_per_view_pair"].items():
    pairs = np.array(pairs)
    check(
      ours,
      {
        f"{name}/rank1": pairs[~np.eye(4, dtype=bool)].mean(),
        f"{name}/rank1_all_views": pairs.mean(),
        f"{name}/rank1_identical_view": np.diag(pairs).mean(),
      },
    )
  check(
    ours,
    {
      f"mean/{f}": np.mean([ours[f"{c}/{f}"] for c in ("CL", "UP", "DN", "BG")])
      for f in figures
    },
  )


def random_set(rows=700, subjects=9, seed=0):
  rng = np.random.default_rng(seed)
  # Few distinct embeddings: many distances are equal.
  embeddings = rng.integers(0, 3, (rows, 2, 2)).astype(np.float32)
  names = rng.integers(0, subjects, rows).astype(str)
  return embeddings, names, rng.integers(0, 3, rows).astype(str)


def ranks_by_hand(embeddings, subjects, probes, gallery, views=None):
  result = []
  for p in probes:
    kept = [
      g
      for g in gallery
      if views is None or subjects[g] != subjects[p] or views[g] != views[p]
    ]
    distance = np.linalg.norm(embeddings[kept] - embeddings[p], axis=2)
    order = np.argsort(distance.mean(1).round(4), kind="stable")
    right = subjects[kept][order] == subjects[p]
    result.append(np.flatnonzero(right) + 1)
  return result


def test_ranks_with_ties_and_several_blocks():
  embeddings, subjects, views = random_set()
  ranker = ranks.Ranker(embeddings, subjects, "euclidean")
  probes, gallery = np.arange(600), np.arange(600, 700)
  expected = ranks_by_hand(embeddings, subjects, probes, gallery)
  first = ranker.first_matches(probes, gallery)
  np.testing.assert_array_equal(first, [m[0] for m in expected])
  for ours, theirs in zip(
    ranker.all_matches(probes, gallery), expected, strict=True
  ):
    np.testing.assert_array_equal(ours, theirs)
  for ours, theirs in zip(
    ranker.all_matches(probes, gallery, views),
    ranks_by_hand(embeddings, subjects, probes, gallery, views),
    strict=True,
  ):
    np.testing.assert_array_equal(ours, theirs)


def test_absent_subject_and_empty_sides():
  embeddings, subjects, _ = random_set(10)
  subjects[0] = "stranger"
  ranker = ranks.Ranker(embeddings, subjects, "cosine")
  rest = np.arange(1, 10)
  assert ranker.first_matches(np.array([0]), rest) == [ranks.ABSENT]
  assert len(ranker.all_matches(np.array([0]), rest)[0]) == 0
  assert ranker.first_matches(rest, rest[:0]).tolist() == [ranks.ABSENT] * 9
  assert ranker.first_matches(rest[:0], rest).shape == (0,)
  assert ranker.all_matches(rest[:0], rest) == []


def test_retrieval_figures_by_hand():
  figures = retrieval.retrieval_figures(
    [np.array([1, 4]), np.array([2]), np.array([], int)], (1, 2)
  )
  assert figures == pytest.approx(
    {
      "rank1": 50,
      "rank2": 100,
      "mAP": 100 * np.mean([(1 + 2 / 4) / 2, 1 / 2]),
      "mINP": 100 * np.mean([2 / 4, 1 / 2]),
    }
  )
  assert retrieval.retrieval_figures([np.array([], int)], (1,)) == {}


CONDITIONS = {
  "casiab": ("nm-01", "nm-05"),
  "oumvlp": ("01", "00"),
  "grew": ("01", "02"),
  "gait3d": ("camid0_videoid0", "camid1_videoid0"),
  "ccpg": ("U0_D3", "U3_D3"),
  "sustech1k": ("00-nm", "01-bg"),
}


def people(protocol, subjects=("1", "2", "3"), views=("01_0", "02_0")):
  """A gallery and a probe sequence a subject and view, told apart."""
  gallery, probe = CONDITIONS[protocol]
  rows = [(s, c, v) for s in subjects for c in (gallery, probe) for v in views]
  s, c, v = map(np.array, zip(*rows, strict=True))
  embeddings = s.astype(np.float32)[:, None, None] * np.ones((1, 3, 2))
  data = dict(embeddings=embeddings, subjects=s, conditions=c, views=v)
  if PROTOCOLS[protocol].options:
    data["probes"] = ["-".join(r) for r in rows if r[1] == probe]
  return data


@pytest.mark.parametrize("protocol", CONDITIONS)
@pytest.mark.parametrize("subjects", ["123", "1"])
def test_perfect(protocol, subjects):
  results = evaluate.evaluate_embeddings(protocol, **people(protocol, subjects))
  assert PROTOCOLS[protocol].main_figure in results
  assert set(results.values()) == {100.0}


@pytest.mark.parametrize("protocol", CONDITIONS)
def test_strangers(protocol):
  data = people(protocol)
  probe = data["conditions"] == CONDITIONS[protocol][1]
  strange = np.where(
    probe, np.char.add("9", data["subjects"]), data["subjects"]
  )
  if protocol == "gait3d":
    names = zip(strange, data["conditions"], data["views"], strict=True)
    data["probes"] = [
      "-".join(n) for n, p in zip(names, probe, strict=True) if p
    ]
    with pytest.raises(errors.UserError, match="none of the 6 probes"):
      evaluate.evaluate_embeddings(protocol, **data | {"subjects": strange})
    return
  results = evaluate.evaluate_embeddings(
    protocol, **data | {"subjects": strange}
  )
  assert set(results.values()) == {0.0}
  assert not any("reid" in name for name in results)


def test_a_probe_without_gallery_is_an_error_or_left_out():
  for protocol, expected in (("oumvlp", 200 / 3), ("gait3d", 100.0)):
    data = people(protocol)
    gallery = data["conditions"] == CONDITIONS[protocol][0]
    kept = ~(gallery & (data["subjects"] == "3"))
    data |= {k: v[kept] for k, v in data.items() if k != "probes"}
    results = evaluate.evaluate_embeddings(protocol, **data)
    # A single-view figure is rounded to two decimals, as the reference's.
    assert results["all/rank1"] == pytest.approx(expected, abs=0.01)


def test_missing_cells_are_left_out():
  data = people("oumvlp", views=("000", "090", "180"))
  lost = (data["conditions"] == "00") & (data["views"] == "090")
  lost |= (data["conditions"] == "01") & (data["views"] == "180")
  data = {k: v[~lost] for k, v in data.items()}
  data["subjects"] = np.where(
    (data["conditions"] == "00") & (data["views"] == "180"),
    "9",
    data["subjects"],
  )
  results = evaluate.evaluate_embeddings("oumvlp", **data)
  assert results == {
    "all/view/000": 100,
    "all/view/180": 0,
    "all/rank1": 50,
    "all/rank1_identical_view": 100,
    "all/rank1_all_views": 50,
  }


def test_ccpg_takes_the_camera_as_the_view():
  data = people("ccpg", views=("01_0", "01_1", "02_0"))
  results = evaluate.evaluate_embeddings("ccpg", **data)
  assert {k for k in results if "/view/" in k} == {"UP/view/01", "UP/view/02"}
  # One camera: what the re-identification protocol leaves out is all there is.
  data = people("ccpg", views=("01_0", "01_1"))
  results = evaluate.evaluate_embeddings("ccpg", **data)
  assert np.isnan(results["UP/rank1"])
  assert results["UP/rank1_identical_view"] == 100
  assert not any("reid" in name for name in results)


@pytest.mark.parametrize(
  "protocol, change, words",
  [
    ("gait3d", dict(probes=None), "needs the list"),
    ("gait3d", dict(probes=[]), "needs the list"),
    ("gait3d", dict(probes="1-camid1_videoid0-01_0"), "needs the list"),
    ("gait3d", dict(probes=["1-camid1_videoid0-01_0", "4-a-b"]), "1 of 2.*4-a"),
    ("casiab", dict(probes=["1-nm-05-000"]), "casiab has no option probes"),
    ("gait3d", dict(prob=[]), "no option prob; it has probes"),
    ("grew", dict(conditions=np.array(["01"] * 12)), "probe condition.*02"),
    ("grew", dict(conditions=np.array(["02"] * 12)), "gallery condition.*01"),
    (
      "ccpg",
      dict(conditions=np.array(["U0_D3", "U1_D0"] * 6)),
      r"no search \(CL, UP, DN, BG\)",
    ),
    ("oumvlp", dict(embeddings=np.ones((12, 4))), "shape"),
    ("oumvlp", dict(embeddings=np.full((12, 1, 1), np.inf)), "number 0"),
    (
      "oumvlp",
      dict(embeddings=np.full((12, 1, 2), 1e30, np.float32)),
      "beyond float32",
    ),
  ],
)
def test_bad_input_is_one_line(protocol, change, words):
  with pytest.raises(errors.UserError, match=words) as error:
    evaluate.evaluate_embeddings(protocol, **(people(protocol) | change))
  assert "\n" not in str(error.value)


def test_every_sequence_a_probe():
  data = people("gait3d")
  names = zip(data["subjects"], data["conditions"], data["views"], strict=True)
  with pytest.raises(errors.UserError, match="none is left"):
    evaluate.evaluate_embeddings(
      "gait3d", **data | {"probes": ["-".join(n) for n in names]}
    )
