"""Probes and galleries by name, the CSV of them, and submissions."""

import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.evaluation.protocols import PROTOCOLS
from gaitkd_jax.evaluation.protocols import lists
from gaitkd_jax.evaluation.protocols import ranks
from gaitkd_jax.evaluation.protocols import submissions
from tests.evaluation.protocols.test_views import table

NAMED = table(
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


def score(name, data, **options):
  ranker = ranks.Ranker(data[0], data[1], "euclidean")
  return PROTOCOLS[name](ranker, *data[1:], **options)


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
  (trial,) = PROTOCOLS["lists"].trials(
    *NAMED[1:], probes=PROBES, gallery=GALLERY
  )
  assert trial.probes.tolist() == [4, 5, 6]
  assert trial.gallery.tolist() == [0, 1, 2]
  assert (trial.name, trial.excluded, trial.views) == ("all", "", None)


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
  data = tuple(np.concatenate([x, x[[0]]]) for x in NAMED)
  words = "1 of 3 gallery names name several.*1-a-0"
  with pytest.raises(errors.UserError, match=words):
    score("lists", data, probes=PROBES, gallery=GALLERY)
  with pytest.raises(errors.UserError, match="1 of 1 probes name several"):
    score("gait3d", data, probes=["1-a-0"])
  # Of no concern where the shared name is in no list.
  assert score("lists", data, probes=PROBES, gallery=GALLERY[1:])
  with pytest.raises(errors.UserError, match="more than once.*1-c-0"):
    score("gait3d", NAMED, probes=["1-c-0", "2-c-0", "1-c-0"])


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


def grew(subjects=24):
  """Two gallery sequences a subject at 10, 11, 20, 21, ..., and two probes."""
  rows = [
    (f"{i:05}", f"0{take}", f"g{i}{take}", 10 * i + take - 1)
    for i in range(1, subjects + 1)
    for take in (1, 2)
  ]
  probes = [("probe", "03", "zz", 1), ("probe", "03", "aa", 10.0 * subjects)]
  return table(rows + probes)


def test_grew_submission():
  lines = submissions.SUBMISSIONS["grew_submission"].lines(*grew())
  ranked = ",".join(f"rank{k}" for k in range(1, 21))
  up = ",".join(f"{i},{i}" for i in range(1, 11))
  down = ",".join(f"{i},{i}" for i in range(24, 14, -1))
  assert lines == [f"videoId,{ranked}", f"zz,{up}", f"aa,{down}"]


def changed(data, column, old, new):
  data = list(data)
  data[column] = np.where(data[column] == old, new, data[column])
  return data


@pytest.mark.parametrize(
  "data, words",
  [
    (grew(9), "gallery has 18 sequences and a line of the submission 20"),
    (changed(grew(), 1, "00003", "x3"), "2 gallery.*first 'x3'"),
    (changed(grew(), 3, "zz", "aa"), "2 probes have the name 'aa'"),
    (changed(grew(), 2, "03", "04"), "probe condition"),
  ],
)
def test_bad_grew_submissions_are_one_line(data, words):
  with pytest.raises(errors.UserError, match=words) as error:
    submissions.SUBMISSIONS["grew_submission"].lines(*data)
  assert "\n" not in str(error.value)


# One of 007 is nearest to the probe p1 but has six of its own nearer yet; the
# neighbours of 008's five include p1.
HID = table(
  [("008", "00", f"g{i}", x) for i, x in enumerate((1.1, 1.15, 1.2, 1.25, 1.3))]
  + [("probe", "00", "p1", 0.0), ("probe", "00", "p0", -9.0)]
  + [("007", "00", "h", -1.0)]
  + [("007", "00", f"h{i}", -1.3 - i / 100) for i in range(7)]
)


def test_hid_submission():
  submission = submissions.SUBMISSIONS["hid_submission"]
  plain = ["videoID,label", "p1,007", "p0,007"]
  assert submission.lines(*HID, rerank=False) == plain
  assert submission.lines(*HID) == ["videoID,label", "p1,008", "p0,007"]


@pytest.mark.parametrize(
  "data, words",
  [
    (changed(HID, 1, "probe", "9"), "0 sequences are of the subject 'probe'"),
    ([x[5:7] for x in HID], "0 of others"),
    (changed(HID, 3, "p0", "p1"), "2 probes have the name 'p1'"),
  ],
)
def test_bad_hid_submissions_are_one_line(data, words):
  with pytest.raises(errors.UserError, match=words) as error:
    submissions.SUBMISSIONS["hid_submission"].lines(*data)
  assert "\n" not in str(error.value)
