"""Cross-view galleries, CASIA-E, trials, pairs of views and CMCs, by hand."""

import dataclasses

import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.evaluation.protocols import PROTOCOLS
from gaitkd_jax.evaluation.protocols import ranks
from tests.evaluation.protocols import test_protocols


def table(rows):
  """A set on a line: rows of (subject, condition, view, place)."""
  labels = [np.array(column) for column in zip(*rows, strict=True)]
  return labels[3].astype(np.float32)[:, None, None], *labels[:3]


def score(protocol, embeddings, subjects, conditions, views, **changes):
  protocol = dataclasses.replace(PROTOCOLS[protocol], **changes)
  ranker = ranks.Ranker(embeddings, subjects, "euclidean")
  return protocol(ranker, subjects, conditions, views)


def parity(name):
  arrays, _ = test_protocols.load(name)
  arrays.pop("probes", None)
  return arrays


CROSS_VIEW = table(
  [
    # The gallery, at 0, 10, 20, ...: of subject A it is seen from two views.
    ("A", "nm-02", "000", 0),
    ("A", "bg-02", "090", 10),
    ("A", "cl-02", "090", 60),
    ("B", "nm-02", "000", 20),
    ("B", "cl-02", "090", 40),
    ("C", "nm-02", "000", 30),
    # Without A from 000: B 20 (2), C 30 (12), B 40, A 10 is at 8: ranks.
    ("A", "nm-01", "000", 18),
    # Without B from 000: B at 40 is first.
    ("B", "nm-01", "000", 41),
    # Without C from 000 there is no C.
    ("C", "nm-01", "000", 30),
    # Without B from 090: B at 20 is behind C at 30.
    ("B", "nm-01", "090", 29),
    # Nobody is D.
    ("D", "nm-01", "018", 0),
    ("A", "cl-01", "000", 10),
  ]
)


def test_cross_view_by_hand():
  results = score("casiab_cross_view", *CROSS_VIEW)
  # A at 18: B 20, A 10, C 30, B 40, A 60: precisions 1/2 and 2/5. B at 41: A
  # 60 is at 19, C at 11: B 40 is first. B at 29: C 30, B 20.
  average = np.round(100 * np.mean([(1 / 2 + 2 / 5) / 2, 1]), 2)
  nm = {
    "view/000": 33.33,
    "view/018": 0.0,
    "view/090": 0.0,
    "rank1": (33.33 + 0 + 0) / 3,
    "mAP": (average + 50) / 2,  # nobody of 018 has a match
  }
  # A at 10: A 10, B 20, C 30, B 40, A 60.
  cl = {"view/000": 100.0, "rank1": 100.0, "mAP": 100 * (1 + 2 / 5) / 2}
  assert results == pytest.approx(
    {f"NM/{k}": v for k, v in nm.items()}
    | {f"CL/{k}": v for k, v in cl.items()}
    | {
      "mean/rank1": (nm["rank1"] + cl["rank1"]) / 2,
      "mean/mAP": (nm["mAP"] + cl["mAP"]) / 2,
    }
  )
  results = score("casiab_cross_view", *CROSS_VIEW, ranks=range(1, 4))
  assert results["NM/rank1"] == pytest.approx(nm["rank1"])
  assert results["NM/rank2"] == pytest.approx((66.67 + 0 + 100) / 3)
  assert results["NM/rank3"] == results["NM/rank2"]


def test_oumvlp_cross_view_by_hand():
  rows = [
    (s, c, v, p)
    for s, c, v, p in [
      ("1", "01", "000", 0),
      ("1", "01", "030", 1),
      ("2", "01", "000", 5),
      ("1", "00", "000", 0),
      ("2", "00", "000", 5),
      ("2", "00", "030", 2),
    ]
  ]
  # Without a gallery of its own view: 1 finds 030 at 1; 2 has no match; 2 from
  # 030 is behind both of 1.
  assert score("oumvlp_cross_view", *table(rows)) == pytest.approx(
    {
      "all/view/000": 50.0,
      "all/view/030": 0.0,
      "all/rank1": 25.0,
      "all/mAP": (100 + 33.33) / 2,
    }
  )


def test_cross_view_of_one_view_is_not_guessed():
  kept = CROSS_VIEW[3] == "000"
  results = score("casiab_cross_view", *(x[kept] for x in CROSS_VIEW))
  assert set(results) == {
    f"{name}/{figure}"
    for name in ("NM", "CL", "mean")
    for figure in ("rank1", "mAP")
  }
  assert np.isnan(list(results.values())).all()


def test_cross_view_needs_both_sides():
  probe = np.char.endswith(CROSS_VIEW[2], "-01")
  for side, words in ((probe, "gallery condition"), (~probe, "probe cond")):
    with pytest.raises(errors.UserError, match=words) as error:
      score("casiab_cross_view", *(x[side] for x in CROSS_VIEW))
    assert "\n" not in str(error.value)


def casiae(views):
  """Subject 1 is found from all views, 2 from none, in high and low walks."""
  return table(
    [
      (subject, condition, view, place)
      for view in views
      for subject, condition, place in (
        ("1", "H-scene1-nm-1", 0),
        ("2", "L-scene1-nm-2", 10),
        ("1", "H-scene2-nm-1", 1),
        ("1", "L-scene3_s-nm-2", 1),
        ("2", "H-scene3-bg-1", 1),
        ("1", "H-scene2-cl-2", 1),
        ("2", "L-scene3-cl-1", 1),
        ("3", "H-scene1-bg-1", 1),  # no gallery: only nm is
        ("3", "H-scene2-nm-3", 1),  # no probe: there is no third take
      )
    ]
  )


def test_casiae_by_hand():
  results = score("casiae", *casiae(("000", "090", "270")))
  assert {k: v for k, v in results.items() if k.endswith("/rank1")} == {
    "NM/rank1": 100.0,
    "BG/rank1": 0.0,
    "CL/rank1": 50.0,
    "mean/rank1": 50.0,
  }
  assert {k.rpartition("/")[2] for k in results if "/view/" in k} == {
    "000",
    "090",
  }
  with pytest.raises(errors.UserError, match="probe condition"):
    score("casiae", *casiae(("270",)))


def test_trials_say_what_is_compared():
  _, *labels = CROSS_VIEW
  trials = PROTOCOLS["casiab_cross_view"].trials(*labels)
  assert [(t.name, t.excluded) for t in trials] == [
    ("NM", "own_view"),
    ("CL", "own_view"),
  ]
  assert trials[0].probes.tolist() == [6, 7, 8, 9, 10]
  assert trials[0].gallery.tolist() == [0, 1, 2, 3, 4, 5]
  np.testing.assert_array_equal(trials[0].views, labels[2])

  _, *labels = casiae(("000", "270"))
  trials = PROTOCOLS["casiae"].trials(*labels)
  assert [(t.name, t.excluded) for t in trials] == [
    ("NM", "view"),
    ("BG", "view"),
    ("CL", "view"),
  ]
  assert [t.probes.tolist() for t in trials] == [[2, 3], [4], [5, 6]]
  assert all(t.gallery.tolist() == [0, 1] for t in trials)

  data = test_protocols.people("ccpg", views=("01_0", "01_1", "02_0"))
  (trial,) = PROTOCOLS["ccpg"].trials(
    data["subjects"], data["conditions"], data["views"]
  )
  assert (trial.name, trial.excluded) == ("UP", "view")
  assert trial.views[:3].tolist() == ["01", "01", "02"]
  assert set(data["conditions"][trial.probes]) == {"U3_D3"}

  for name in ("grew", "gait3d"):
    data = test_protocols.people(name)
    del data["embeddings"]
    (trial,) = PROTOCOLS[name].trials(**data)
    assert (trial.name, trial.excluded, trial.views) == ("all", "", None)
    gallery, probe = test_protocols.CONDITIONS[name]
    assert set(data["conditions"][trial.probes]) == {probe}
    assert set(data["conditions"][trial.gallery]) == {gallery}


def test_pairs_are_what_is_averaged():
  arrays = parity("eval_casiab"[5:])
  ranker = ranks.Ranker(arrays["embeddings"], arrays["subjects"], "euclidean")
  labels = arrays["subjects"], arrays["conditions"], arrays["views"]
  results = PROTOCOLS["casiab"](ranker, *labels)
  pairs = PROTOCOLS["casiab"].pairs(ranker, *labels)
  assert list(pairs) == ["NM", "BG", "CL"]
  for name, (probes, gallery, matrix) in pairs.items():
    assert probes.tolist() == gallery.tolist() == sorted(set(labels[2]))
    assert results[f"{name}/rank1_all_views"] == matrix.mean()
    identical = np.diag(matrix)
    assert results[f"{name}/rank1_identical_view"] == identical.mean()
    others = (matrix.sum(axis=1) - identical) / (len(gallery) - 1)
    assert results[f"{name}/rank1"] == pytest.approx(others.mean())
  assert not hasattr(PROTOCOLS["grew"], "pairs")
  assert not hasattr(PROTOCOLS["casiab_cross_view"], "pairs")


def test_pairs_by_hand():
  rows = [
    ("1", "U0_D3", "01_0", 0),
    ("2", "U0_D3", "01_1", 3),
    ("2", "U0_D3", "02_0", 9),
    ("1", "U3_D3", "03_0", 1),
    ("1", "U3_D3", "03_1", 1),
    ("2", "U3_D3", "03_0", 1),
  ]
  data = table(rows)
  ranker = ranks.Ranker(data[0], data[1], "euclidean")
  ((name, (probes, gallery, matrix)),) = (
    PROTOCOLS["ccpg"].pairs(ranker, *data[1:]).items()
  )
  assert (name, probes.tolist(), gallery.tolist()) == (
    "UP",
    ["03"],
    ["01", "02"],
  )
  # In camera 01 the nearest is 1; in 02 there is only 2.
  np.testing.assert_array_equal(matrix, [[66.67, 33.33]])


@pytest.mark.parametrize("name", ["casiab", "grew_labelled", "ccpg"])
def test_a_cmc_in_the_protocols_own_manner(name):
  arrays = parity(name)
  data = (arrays.pop("embeddings"), *arrays.values())
  assert list(arrays) == ["subjects", "conditions", "views"]
  protocol = name.partition("_")[0]
  plain = score(protocol, *data)
  cmc = score(protocol, *data, ranks=range(1, 51))
  assert plain == {k: cmc[k] for k in plain}
  for search in PROTOCOLS[protocol].searches:
    curve = [cmc[f"{search}/rank{k}"] for k in range(1, 51)]
    assert curve == sorted(curve) and curve[0] < curve[-1]


def test_gait3d_has_a_cmc():
  arrays, _ = test_protocols.load("gait3d")
  ranker = ranks.Ranker(arrays["embeddings"], arrays["subjects"], "euclidean")
  labels = [arrays[k] for k in ("subjects", "conditions", "views", "probes")]
  protocol = dataclasses.replace(PROTOCOLS["gait3d"], ranks=range(1, 51))
  results = protocol(ranker, *labels)
  curve = [results[f"all/rank{k}"] for k in range(1, 51)]
  assert curve == sorted(curve) and curve[0] < curve[-1]
