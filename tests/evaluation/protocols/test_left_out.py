"""What figures say nothing of is counted, in every protocol."""

import numpy as np
import pytest

from gaitkd_jax import evaluation
from gaitkd_jax.evaluation import metrics as metrics_lib
from gaitkd_jax.evaluation import protocols
from gaitkd_jax.evaluation import scoring
from gaitkd_jax.evaluation.protocols import left_out
from gaitkd_jax.evaluation.protocols import probe_gallery
from tests.evaluation.protocols import test_cross_view as cross_view
from tests.evaluation.protocols import test_lists as by_name
from tests.helpers import evaluation_sets as sets


def of(name, labels, **options):
  """Condition, count, what, and figures of all that a protocol leaves out."""
  chosen = evaluation.Embedded(sets.embed(labels), labels, options)
  found = scoring.evaluate(protocols.find(name), chosen)
  return [(x.condition, x.count, x.what, x.figures) for x in found.left_out]


def labels_of(*rows):
  return evaluation.Labels(*map(np.array, zip(*rows, strict=True)))


@pytest.mark.parametrize("excluded", list(probe_gallery.Excluded))
def test_probes_without_a_match_are_those_of_a_loop(excluded):
  rng = np.random.default_rng(0)
  labels = evaluation.Labels(
    rng.integers(0, 20, 60).astype(str),
    np.full(60, "c"),
    rng.integers(0, 3, 60).astype(str),
  )
  rows = rng.permutation(60)
  compared = probe_gallery.ProbeGallery(
    "NM", rows[:30], rows[40:], labels.views, excluded
  )
  expected = []
  for p in compared.probes:
    matches = [
      g
      for g in compared.gallery
      if labels.subjects[p] == labels.subjects[g]
      and not excluded.pairs(True, labels.views[p] == labels.views[g])
    ]
    expected.append(not matches)
  assert left_out.unmatched(labels, compared).tolist() == expected
  assert 0 < sum(expected) < 30
  (one,) = left_out.without_match(labels, compared, "mAP")
  assert one.count == sum(expected) and len(one.examples) == 3
  assert one.examples[0] == labels.names[compared.probes[np.argmax(expected)]]


def test_whole_sets_leave_nothing_out():
  for name, conditions in sets.CONDITIONS.items():
    data = sets.people(name)
    labels = evaluation.Labels(
      *(data[k] for k in ("subjects", "conditions", "views"))
    )
    options = {"probes": data["probes"]} if "probes" in data else {}
    missing = {c for c, *_ in of(name, labels, **options)}
    others = set(getattr(protocols.find(name), "conditions", {}))
    # These sets have no sequences of the other conditions.
    assert missing <= others - {"overall", "bag"}, (name, conditions)
  walks = ["nm-01", "nm-05", "bg-01", "cl-01"]
  whole = sets.cross(["1", "2"], walks, ["000", "090"])
  assert of("casiab", whole) == []


def test_lists():
  options = {"probes": by_name.PROBES, "gallery": by_name.GALLERY}
  chosen = evaluation.Embedded(
    by_name.NAMED.embeddings, by_name.NAMED.labels, options
  )
  found = scoring.evaluate(protocols.find("lists"), chosen)
  idle, alone = found.left_out
  assert idle.text == (
    "1 sequence from every figure: they are in neither list (3-b-0)"
  )
  assert alone.text == (
    "all: 1 probe from rank*, mAP and mINP: their subject is not in the "
    "gallery (9-c-0)"
  )
  # The figures are of the other two probes.
  assert sum(len(m) > 0 for m in found.ranks[0].matches) == 2


def test_probe_lists():
  labels = by_name.NAMED.labels
  # All but the probes are the gallery.
  assert of("gait3d", labels, probes=by_name.PROBES) == [
    ("all", 1, "probe", "rank*, mAP and mINP")
  ]


def test_cross_view():
  found = scoring.evaluate(
    protocols.find("casiab_cross_view"), cross_view.CROSS_VIEW
  )
  texts = [one.text for one in found.left_out]
  assert texts == [
    "BG: every figure, and the mean over conditions: the data have no probes "
    "of it",
    "NM: 2 probes from mAP: their subject is not in the gallery, or in their "
    "own view only (C-nm-01-000, D-nm-01-018)",
    "NM: 1 probe view from the mean of mAP over views: none of their probes "
    "has a match (018)",
  ]
  lacking = [m for m in found.ranks[0].matches if not len(m)]
  assert len(lacking) == 2
  one_view = sets.cross(["1", "2"], ["nm-01", "nm-02"], ["000"])
  assert ("NM", 2, "probe", "every figure") in of("casiab_cross_view", one_view)


def test_single_views():
  labels = labels_of(
    ("1", "nm-01", "000"),
    ("1", "nm-01", "090"),
    ("1", "nm-05", "000"),
    ("1", "nm-05", "018"),
    ("1", "nm-07", "000"),  # of no role
    ("1", "cl-01", "090"),
  )
  mean = "the means over views"
  assert of("casiab", labels) == [
    ("", 1, "sequence", "every figure"),
    ("BG", 0, "", "every figure, and the mean over conditions"),
    # No probe is at 090, and then 000-018 is left.
    ("NM", 2, "pair of views", mean),
    ("NM", 1, "pair of views", mean),
    ("CL", 1, "pair of views", mean),
  ]


def test_single_views_count_pairs():
  views = ["000", "018", "090"]
  rows = [("1", "nm-01", v) for v in views[:2]]
  rows += [("1", "nm-05", v) for v in views]
  found = [x for x in of("casiab", labels_of(*rows)) if x[0] == "NM"]
  # Of the six pairs of different views, 000-090 and 018-090.
  assert found == [("NM", 2, "pair of views", "the means over views")]
  rows = [("1", "nm-01", "090"), ("1", "nm-05", "090"), ("2", "nm-05", "000")]
  found = [x for x in of("casiab", labels_of(*rows)) if x[0] == "NM"]
  assert ("NM", 1, "probe") in [x[:3] for x in found]


def test_dropped_views():
  walks = [
    f"H-{scene}-{kind}-1"
    for scene in ("scene1", "scene2")
    for kind in ("nm", "bg", "cl")
  ]
  labels = sets.cross(["1"], walks, ["000", "030", "270"])
  found = of("casiae", labels)
  # Of scene1 only the normal walk has a role.
  assert found == [("", 4, "sequence", "every figure")] + [
    ("", 6, "sequence", "every figure")
  ]


def test_cloth_changing():
  rows = [("1", "U0_D0", v) for v in ("01_0", "02_0")]
  rows += [("1", "U1_D1", v) for v in ("01_0", "02_0")]
  rows += [("2", "U0_D0", "01_0"), ("2", "U1_D1", "01_0")]
  found = of("ccpg", labels_of(*rows))
  assert ("CL", 1, "probe", "all reid_* figures") in found
  missing = [x[0] for x in found if x[3].endswith("the mean over conditions")]
  assert missing == ["UP", "DN", "BG"]


def test_conditions_without_a_gallery_say_how_many_probes():
  found = left_out.missing_conditions(
    {
      "A": probe_gallery.Conditions(("p",), ("g",)),
      "B": probe_gallery.Conditions(("q",), ("h",)),
      "C": probe_gallery.Conditions(("r",), ("g",)),
      "D": probe_gallery.Conditions(("r",), ("h",)),
    },
    np.array(["p", "g", "q", "q"]),
    [probe_gallery.ProbeGallery("A", np.array([0]), np.array([1]))],
  )
  assert [(x.condition, x.count, x.reason) for x in found] == [
    ("B", 2, "the data have no gallery of it"),
    ("C", 0, "the data have no probes of it"),
    ("D", 0, "the data have no probes and no gallery of it"),
  ]


def test_verification():
  labels = labels_of(
    ("1", "01", "a"), ("2", "01", "a"), ("1", "02", "a"), ("3", "02", "a")
  )
  chosen = evaluation.Embedded(sets.embed(labels), labels)
  found = scoring.verified(scoring.evaluate(protocols.find("grew"), chosen))
  texts = [one.text for one in found.left_out]
  assert texts == [
    "all: 1 probe from TAR and EER: their subject is not in the gallery "
    "(3-02-a)",
    *(
      f"all: TAR@FAR={rate:g}: 3 pairs of strangers are fewer than the "
      f"{round(1 / rate):,} that it takes"
      for rate in (0.1, 0.01, 0.001)
    ),
  ]
  missing = [
    m.name
    for m in found.verification[0].metrics()
    if m.name.startswith("TAR") and np.isnan(m.value)
  ]
  assert missing == ["TAR@FAR=0.1", "TAR@FAR=0.01", "TAR@FAR=0.001"]


def test_submissions():
  labels = labels_of(("1", "01", "a"), ("1", "04", "b"), ("x", "03", "c"))
  protocol = protocols.find("grew_submission")
  compared = [
    probe_gallery.ProbeGallery("submission", np.array([2]), np.array([0]))
  ]
  (one,) = protocol.left_out(labels, compared)
  assert (one.count, one.examples) == (1, ("1-04-b",))
  assert (
    protocols.find("hid_submission").left_out(
      labels, [probe_gallery.ProbeGallery("s", np.array([2]), np.array([0, 1]))]
    )
    == []
  )


def test_figures_do_not_know_of_it():
  flat = sets.score("casiab_cross_view", cross_view.CROSS_VIEW)
  found = scoring.evaluate(
    protocols.find("casiab_cross_view"), cross_view.CROSS_VIEW
  )
  assert found.flat() == flat == metrics_lib.flat(found.metrics)
  assert all(isinstance(value, float) for value in found.flat().values())
