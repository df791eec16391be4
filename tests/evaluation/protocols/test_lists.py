"""Probes and galleries by name, and the CSV of them."""

import ml_collections
import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax import evaluation
from gaitkd_jax.evaluation import protocols
from gaitkd_jax.evaluation.protocols import lists
from tests.helpers import evaluation_sets as sets

NAMED = sets.table(
  [
    ("1", "a", "0", 0),
    ("2", "a", "0", 3),
    ("1", "b", "0", 4),
    ("3", "b", "0", 1),  # in no list
    ("1", "c", "0", 2),  # a probe
    ("2", "c", "0", 4),  # a probe
    ("9", "c", "0", 0),  # a probe without its subject in the gallery
  ]
)


PROBES = ["2-c-0", "1-c-0", "9-c-0"]


GALLERY = ["1-a-0", "2-a-0", "1-b-0"]


def score(name, chosen, **options):
  return sets.score(
    name, evaluation.Embedded(chosen.embeddings, chosen.labels, options)
  )


def test_lists_by_hand():
  # 1 at 2: 2 at 3, then 1 at 0 and at 4. 2 at 4: 1 at 4, then 2 at 3.
  assert score("lists", NAMED, probes=PROBES, gallery=GALLERY) == pytest.approx(
    {
      "all/rank1": 0,
      "all/rank5": 100,
      "all/rank10": 100,
      "all/rank20": 100,
      "all/mAP": 100 * np.mean([np.mean([1 / 2, 2 / 3]), 1 / 2]),
      "all/mINP": 100 * np.mean([2 / 3, 1 / 2]),
    }
  )
  (compared,) = protocols.PROTOCOLS["lists"].probe_galleries(
    NAMED.labels, {"probes": PROBES, "gallery": GALLERY}
  )
  assert compared.probes.tolist() == [4, 5, 6]
  assert compared.gallery.tolist() == [0, 1, 2]
  assert (compared.condition, compared.views) == ("all", None)
  assert compared.excluded is protocols.Excluded.NOTHING


@pytest.mark.parametrize(
  "change, words",
  [
    (dict(probes=None), "list of its probes; give probes="),
    (dict(gallery=None), "list of its gallery; give gallery="),
    (dict(gallery=[]), "list of its gallery"),
    (dict(probes="2-c-0"), "list of its probes"),
    (dict(gallery=[*GALLERY, "7-a-0", "8-a-0"]), "2 of 5 gallery.*first 7-a-0"),
    (dict(probes=[*PROBES, "7-c-0"]), "1 of 4 probes are not.*7-c-0"),
    (dict(probes=[*PROBES, "1-c-0"]), "1 of 4 probes.*more than once.*1-c-0"),
    (dict(gallery=GALLERY[:1] * 2), "1 of 2 gallery.*more than once.*1-a-0"),
    (dict(gallery=[*GALLERY, "2-c-0"]), "1 names are both.*2-c-0"),
    (dict(probes=["9-c-0"]), "none of the 1 probes"),
  ],
)
def test_bad_lists_are_one_line(change, words):
  given = dict(probes=PROBES, gallery=GALLERY) | change
  with pytest.raises(errors.UserError, match=words) as error:
    score("lists", NAMED, **given)
  assert "\n" not in str(error.value)


def test_names_that_sequences_share():
  data = sets.take(NAMED, np.array([*range(7), 0]))
  words = "1 of 3 gallery names name several.*1-a-0"
  with pytest.raises(errors.UserError, match=words):
    score("lists", data, probes=PROBES, gallery=GALLERY)
  with pytest.raises(errors.UserError, match="1 of 1 probes name several"):
    score("gait3d", data, probes=["1-a-0"])
  # Of no concern where the shared name is in no list.
  assert score("lists", data, probes=PROBES, gallery=GALLERY[1:])
  with pytest.raises(errors.UserError, match="more than once.*1-c-0"):
    score("gait3d", NAMED, probes=["1-c-0", "2-c-0", "1-c-0"])


def test_the_gallery_of_gait3d_is_all_the_rest():
  data = sets.people("gait3d")
  chosen = sets.embedded(**data)
  (compared,) = protocols.PROTOCOLS["gait3d"].probe_galleries(
    chosen.labels, chosen.options
  )
  assert (compared.condition, compared.views) == ("all", None)
  assert compared.excluded is protocols.Excluded.NOTHING
  gallery, probe = sets.CONDITIONS["gait3d"]
  assert set(data["conditions"][compared.probes]) == {probe}
  assert set(data["conditions"][compared.gallery]) == {gallery}


def test_the_gallery_of_gait3d_may_be_listed():
  by_two_lists = score("lists", NAMED, probes=PROBES, gallery=GALLERY)
  by_all_the_rest = score("gait3d", NAMED, probes=PROBES)
  found = score("gait3d", NAMED, probes=PROBES, gallery=GALLERY)
  assert found == {name: by_two_lists[name] for name in found}
  assert found.keys() == by_all_the_rest.keys()
  # 3-b-0, in neither list, is as near to 1-c-0 as the nearest of the gallery.
  assert found != by_all_the_rest
  with pytest.raises(errors.UserError, match="1 names are both.*2-c-0"):
    score("gait3d", NAMED, probes=PROBES, gallery=["2-c-0", "1-a-0"])
  with pytest.raises(errors.UserError, match="list of its gallery"):
    score("gait3d", NAMED, probes=PROBES, gallery=[])


def test_gait3d_has_a_cmc():
  arrays, _ = sets.parity("gait3d")
  chosen = sets.parity_set("gait3d", probes=arrays["probes"])
  results = sets.score("gait3d", chosen, range(1, 51))
  curve = [results[f"all/rank{k}"] for k in range(1, 51)]
  assert curve == sorted(curve) and curve[0] < curve[-1]


def test_where_the_lists_of_a_run_come_from(tmp_path):
  path = tmp_path / "lists.csv"
  path.write_text("name,role\n1-c-0,probe\n1-a-0,gallery\n")
  given = ml_collections.ConfigDict({"lists": str(path)})
  none = ml_collections.ConfigDict({"lists": ""})
  expected = {"probes": ["1-c-0"], "gallery": ["1-a-0"]}
  by_csv, by_data = (protocols.PROTOCOLS[n] for n in ("lists", "gait3d"))
  assert by_csv.roles(given, dict) == expected
  for listed in (expected, {"probes": ["1-c-0"]}):
    assert by_data.roles(none, lambda listed=listed: listed) == listed
  for empty in ({"probes": []}, {"probes": ["1-c-0"], "gallery": []}):
    words = f"gait3d needs {list(empty)[-1]} by name.*data.partition with PROBE"
    with pytest.raises(errors.UserError, match=words) as error:
      by_data.roles(none, lambda empty=empty: empty)
    assert "\n" not in str(error.value)
  with pytest.raises(errors.UserError, match="lists needs probes and a gall"):
    by_csv.roles(none, dict)
  with pytest.raises(errors.UserError, match="gait3d has lists of its own"):
    by_data.roles(given, dict)


def test_read(tmp_path):
  path = tmp_path / "lists.csv"
  path.write_text(
    "name,note, role\n"
    '"1-a-0",x,gallery\n'
    "\n"
    " 1-c-0 ,y,probe,more\n"
    "1-b-0,z,gallery\n",
    encoding="utf-8-sig",
  )
  assert lists.read(path) == {
    "probes": ["1-c-0"],
    "gallery": ["1-a-0", "1-b-0"],
  }
  assert score("lists", NAMED, **lists.read(path))


@pytest.mark.parametrize(
  "text, words",
  [
    ("", "line 1 is ''.*name,role"),
    ("name;role\n", "line 1 is 'name;role'"),
    ("name,name,role\n", "line 1"),
    (
      "name,role\na,probe\nb,prob\n,probe\na,gallery\nc\nd,gallery\n",
      "line 3: the role of 'b' is 'prob'.*; line 4: no name; "
      "line 5: 'a' was given in line 2 already; line 6: the role of 'c' is ''",
    ),
    ("name,role\n" + ",probe\n" * 9, "line 6: no name; and 4 more$"),
    ("name,role\na,probe\n", "no line has the role gallery"),
    ("name,role\na,gallery\n", "no line has the role probe"),
    ('name,role\n"a\nb",pro\nc,probe', r"line 3: the role of 'a\\nb'"),
    (b"name,role\n\xff,probe\n", "not a CSV in UTF-8"),
    (None, "cannot be read"),
  ],
)
def test_bad_csv_is_one_line(tmp_path, text, words):
  path = tmp_path / "lists.csv"
  if text is not None:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
  with pytest.raises(errors.UserError, match=words) as error:
    lists.read(path)
  assert "\n" not in str(error.value) and "lists.csv" in str(error.value)
