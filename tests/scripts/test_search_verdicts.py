"""The program that searches: who is named, and who is unknown."""

import csv

import numpy as np
import pytest

from gaitkd_jax.evaluation import distances
from tests.evaluation.search import test_verdict
from tests.helpers import command

SEARCH = ("scripts/search.py",)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
  """A gallery, and probes of whom some are not in it; more than are shown."""
  root = tmp_path_factory.mktemp("verdicts")
  values, subjects = test_verdict.gallery(120, 16, spread=0.8)
  known = subjects < "008"
  known[3::7] = False
  parts = {"gallery": known, "probes": ~known}
  for name, rows in parts.items():
    write(root / f"{name}.npz", values[rows], subjects[rows])
  write(root / "nameless.npz", values, np.full(120, ""))
  return root, values[known], subjects[known], values[~known]


def write(path, values, subjects):
  texts = {key: ["x"] * len(values) for key in ("conditions", "views")}
  names = [f"{s}-{i}" for i, s in enumerate(subjects)]
  np.savez(path, embeddings=values, subjects=subjects, names=names, **texts)


def run(root, *args, gallery="gallery"):
  return command.run(
    f"--gallery={root / f'{gallery}.npz'}",
    f"--probe={root / 'probes.npz'}",
    "--top=2",
    *args,
    program=SEARCH,
  )


def test_verdicts_are_printed(stores):
  root, values, subjects, probes = stores
  assert len(probes) > 20
  done = run(root, "--far=0.1")
  assert done.returncode == 0, done.stderr
  lines = done.stdout.splitlines()
  assert lines[0].startswith("threshold ")
  threshold = np.float32(lines[0].split()[1].rstrip(":"))
  others, own = test_verdict.by_hand(values, subjects)
  accepted = (others <= threshold * (1 + 1e-6)).sum()
  share = accepted / len(values)
  assert 0 < share <= 0.1
  people = len(np.unique(subjects))
  assert lines[0].endswith(
    f": of {len(values)} gallery sequences, each searched among the other "
    f"{people - 1} subjects, {accepted} are named ({share:.2%}, asked for: 0.1)"
  )
  right = ((own <= threshold * (1 + 1e-6)) & (own < others)).sum()
  assert lines[1].startswith(f"at it, {right} of the {np.isfinite(own).sum()} ")
  matrix = distances.part_distances(probes[:20], values)
  expected = []
  for row in matrix:
    i, value = row.argmin(), row.min()
    if value <= threshold:
      expected.append(f"verdict: {subjects[i]} ({value:.4f} <= {threshold:.4f}")
    else:
      expected.append(f"verdict: unknown ({value:.4f} > {threshold:.4f}")
  assert lines[6:-2:4] == [f"{text})" for text in expected]
  named = sum("<=" in text for text in expected)
  assert 0 < named < 20
  assert lines[-2] == f"{named} of 20 named"


def test_columns_are_added_where_they_are_asked_for(stores):
  root, values, subjects, probes = stores
  plain = root / "plain.csv"
  done = run(root, f"--output={plain}")
  assert done.returncode == 0, done.stderr
  assert "named" not in done.stdout and "threshold" not in done.stdout
  least = distances.part_distances(probes, values).min(axis=1)
  threshold = float(np.sort(least)[19:21].mean())
  given = root / "given.csv"
  done = run(root, f"--output={given}", f"--threshold={threshold!r}")
  assert done.returncode == 0, done.stderr
  assert f"20 of {len(probes)} named" in done.stdout.splitlines()
  before = plain.read_text().splitlines()
  after = given.read_text().splitlines()
  assert before[0] == "probe,rank,gallery,distance"
  assert after[0] == f"{before[0]},verdict,threshold"
  assert [line.rsplit(",", 2)[0] for line in after] == before
  with given.open(newline="") as file:
    rows = list(csv.DictReader(file))
  assert len(rows) == 2 * len(probes)
  for first, second in zip(rows[::2], rows[1::2], strict=True):
    near = float(first["distance"]) <= threshold
    subject = first["gallery"].partition("-")[0]
    assert first["verdict"] == (subject if near else "unknown")
    assert second["verdict"] == first["verdict"]
    assert first["threshold"] == f"{threshold:.6g}"
  assert {row["verdict"] for row in rows} > {"unknown"}


@pytest.mark.parametrize(
  "gallery, args, words",
  [
    ("gallery", ("--far=0.1", "--threshold=1"), "both given"),
    ("gallery", ("--far=0.0001",), "at least 10000 sequences"),
    ("nameless", ("--threshold=1",), "120 of the 120 sequences"),
  ],
)
def test_one_line_and_status_2(stores, gallery, args, words):
  root = stores[0]
  done = run(root, *args, f"--output={root / 'never.csv'}", gallery=gallery)
  assert done.returncode == 2, done.stderr
  assert words in done.stderr
  assert done.stderr.count("\n") == 1, done.stderr
  assert not (root / "never.csv").exists()
