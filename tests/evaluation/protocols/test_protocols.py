"""All protocols against the reference's evaluator, and their edges."""

import re

import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax import evaluation
from gaitkd_jax.evaluation import protocols
from tests.helpers import evaluation_sets as sets

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


def check(found, expected, tolerance=1e-9):
  assert expected
  for name, value in expected.items():
    assert abs(found[name] - value) < tolerance, (name, found[name], value)


def test_oumvlp_parity():
  arrays, results = sets.parity("oumvlp")
  found = evaluation.evaluate_embeddings("oumvlp", **arrays)
  check(found, {"all/rank1": results["euc"]["NM@R1"]})


def test_sustech1k_parity():
  arrays, results = sets.parity("sustech1k")
  found = evaluation.evaluate_embeddings("sustech1k", **arrays)
  check(
    found, {f"{SUSTECH1K[k[:-3]]}/rank1": v for k, v in results["euc"].items()}
  )
  printed = re.findall(r"(\w+)@R(\d): ([\d.]+)%", "".join(results["printed"]))
  assert len(printed) == 9 * 5
  check(
    found,
    {f"{SUSTECH1K[c]}/rank{k}": float(v) for c, k, v in printed},
    0.0051,
  )
  by_view = re.search(r"Overall@R1: \[(.*?)\]", "".join(results["printed"]))
  views = np.unique(arrays["views"])
  for view, value in zip(views, by_view[1].split(), strict=True):
    check(found, {f"overall/view/{view}": float(value)}, 0.0051)


@pytest.mark.parametrize(
  "metric, reference", [("euclidean", "euc"), ("cosine", "cos")]
)
def test_gait3d_parity(metric, reference):
  arrays, results = sets.parity("gait3d")
  found = evaluation.evaluate_embeddings("gait3d", **arrays, metric=metric)
  check(
    found,
    {
      f"all/{k.replace('Rank-', 'rank')}": v
      for k, v in results[reference].items()
    },
    1e-4,  # the reference's Rank-k are float32
  )


def test_grew_parity():
  arrays, results = sets.parity("grew_labelled")
  found = evaluation.evaluate_embeddings("grew", **arrays)
  printed = results["printed"]
  assert printed[::2] == [f"==Rank-{k}==" for k in (1, 5, 10, 20)]
  check(
    found,
    {
      f"all/rank{k}": float(v)
      for k, v in zip((1, 5, 10, 20), printed[1::2], strict=True)
    },
  )


def test_ccpg_parity():
  arrays, results = sets.parity("ccpg")
  found = evaluation.evaluate_embeddings("ccpg", **arrays)
  figures = ("reid_rank1", "reid_mAP", "reid_mINP", "rank1_all_views", "rank1")
  lines = [line for line in results["printed"] if line.count(":") == 4]
  for figure, line in zip(figures, lines, strict=True):
    for name, value in re.findall(r"(\w\w): ([\d.]+)", line):
      check(found, {f"{name}/{figure}": float(value)}, 0.00051)
  for name, pairs in results["rank1_per_view_pair"].items():
    pairs = np.array(pairs)
    check(
      found,
      {
        f"{name}/rank1": pairs[~np.eye(4, dtype=bool)].mean(),
        f"{name}/rank1_all_views": pairs.mean(),
        f"{name}/rank1_identical_view": np.diag(pairs).mean(),
      },
    )
  check(
    found,
    {
      f"mean/{f}": np.mean(
        [found[f"{c}/{f}"] for c in ("CL", "UP", "DN", "BG")]
      )
      for f in figures
    },
  )


@pytest.mark.parametrize("protocol", sets.CONDITIONS)
@pytest.mark.parametrize("subjects", ["123", "1"])
def test_perfect(protocol, subjects):
  results = evaluation.evaluate_embeddings(
    protocol, **sets.people(protocol, subjects)
  )
  assert protocols.PROTOCOLS[protocol].primary_metric.flat in results
  assert set(results.values()) == {100.0}


@pytest.mark.parametrize("protocol", sets.CONDITIONS)
def test_strangers(protocol):
  data = sets.people(protocol)
  probe = data["conditions"] == sets.CONDITIONS[protocol][1]
  strange = np.where(
    probe, np.char.add("9", data["subjects"]), data["subjects"]
  )
  if protocol == "gait3d":
    names = zip(strange, data["conditions"], data["views"], strict=True)
    data["probes"] = [
      "-".join(n) for n, p in zip(names, probe, strict=True) if p
    ]
    with pytest.raises(errors.UserError, match="none of the 6 probes"):
      evaluation.evaluate_embeddings(protocol, **data | {"subjects": strange})
    return
  results = evaluation.evaluate_embeddings(
    protocol, **data | {"subjects": strange}
  )
  assert set(results.values()) == {0.0}
  assert not any("reid" in name for name in results)


def test_a_probe_without_gallery_is_an_error_or_left_out():
  for protocol, expected in (("oumvlp", 200 / 3), ("gait3d", 100.0)):
    data = sets.people(protocol)
    gallery = data["conditions"] == sets.CONDITIONS[protocol][0]
    kept = ~(gallery & (data["subjects"] == "3"))
    data |= {k: v[kept] for k, v in data.items() if k != "probes"}
    results = evaluation.evaluate_embeddings(protocol, **data)
    # A single-view figure is rounded to two decimals, as the reference's.
    assert results["all/rank1"] == pytest.approx(expected, abs=0.01)


def test_missing_cells_are_left_out():
  data = sets.people("oumvlp", views=("000", "090", "180"))
  lost = (data["conditions"] == "00") & (data["views"] == "090")
  lost |= (data["conditions"] == "01") & (data["views"] == "180")
  data = {k: v[~lost] for k, v in data.items()}
  data["subjects"] = np.where(
    (data["conditions"] == "00") & (data["views"] == "180"),
    "9",
    data["subjects"],
  )
  results = evaluation.evaluate_embeddings("oumvlp", **data)
  assert results == {
    "all/view/000": 100,
    "all/view/180": 0,
    "all/rank1": 50,
    "all/rank1_identical_view": 100,
    "all/rank1_all_views": 50,
  }


def test_ccpg_takes_the_camera_as_the_view():
  data = sets.people("ccpg", views=("01_0", "01_1", "02_0"))
  results = evaluation.evaluate_embeddings("ccpg", **data)
  assert {k for k in results if "/view/" in k} == {"UP/view/01", "UP/view/02"}
  # One camera: what the re-identification protocol leaves out is all there is.
  data = sets.people("ccpg", views=("01_0", "01_1"))
  results = evaluation.evaluate_embeddings("ccpg", **data)
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
      r"none of CL, UP, DN, BG has both",
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
    evaluation.evaluate_embeddings(protocol, **(sets.people(protocol) | change))
  assert "\n" not in str(error.value)


def test_every_sequence_a_probe():
  data = sets.people("gait3d")
  names = zip(data["subjects"], data["conditions"], data["views"], strict=True)
  with pytest.raises(errors.UserError, match="none is left"):
    evaluation.evaluate_embeddings(
      "gait3d", **data | {"probes": ["-".join(n) for n in names]}
    )


def test_protocols_by_name():
  for name, protocol in protocols.PROTOCOLS.items():
    assert protocols.find(name) is protocol and protocol.name == name
    submission = isinstance(protocol, protocols.Submission)
    assert submission == name.endswith("_submission")
    assert submission == (protocol.primary_metric is None)
    assert submission != isinstance(protocol, protocols.ScoredProtocol)
  with pytest.raises(errors.UserError, match="casiab, .*hid_submission"):
    protocols.find("casia")
