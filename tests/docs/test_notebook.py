"""The notebooks: executed here as a user would, committed with results."""

import base64
import re

import nbclient
import nbformat
import pytest

from tests.helpers.paths import ROOT

NAME = "distil_a_walker.ipynb"
IDENTIFY = "identify_a_walker.ipynb"
# Fewer steps, and of a test sequence fewer frames: the cells are the subject.
SHORTER = {
  "config.train.steps = 100": "config.train.steps = 25",
  "config.eval.report = False": (
    "config.eval.report = False; config.eval.max_frames = 8"
  ),
}


def code_cells(notebook):
  return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(notebook):
  return "".join(
    output.get("text", "")
    for cell in code_cells(notebook)
    for output in cell.outputs
  )


def pictures(notebook):
  """The PNG images of every cell, in order."""
  return [
    base64.b64decode(output.data["image/png"])
    for cell in code_cells(notebook)
    for output in cell.outputs
    if "image/png" in output.get("data", {})
  ]


@pytest.mark.parametrize(
  "name, count, text",
  [(NAME, 3, "Rank-1 (%)"), (IDENTIFY, 2, ": nobody (nobody of the gallery")],
)
def test_it_is_committed_with_its_results(name, count, text):
  path = ROOT / "examples" / name
  assert path.stat().st_size < 400_000
  notebook = nbformat.read(path, 4)
  counts = [cell.execution_count for cell in code_cells(notebook)]
  assert counts == list(range(1, len(counts) + 1))
  assert len(pictures(notebook)) == count
  assert text in printed(notebook)
  for cell in code_cells(notebook):
    assert all(output.output_type != "error" for output in cell.outputs)


@pytest.mark.slow
def test_it_runs(tmp_path, prepared, monkeypatch):
  # What it writes, and the data that it prepares, stay out of the checkout and
  # of the home folder.
  for name in ("configs", "shipped_teachers"):
    (tmp_path / name).symlink_to(ROOT / name)
  (tmp_path / "examples").mkdir()
  (tmp_path / "tensorflow_datasets").symlink_to(prepared)
  monkeypatch.setenv("HOME", str(tmp_path))
  monkeypatch.setenv("PYTHONPATH", str(ROOT))
  monkeypatch.setenv("JAX_PLATFORMS", "cpu")
  notebook = nbformat.read(ROOT / "examples" / NAME, 4)
  for cell in code_cells(notebook):
    cell.outputs, cell.execution_count = [], None
  (cell,) = (c for c in code_cells(notebook) if "config.train" in c.source)
  for line, other in SHORTER.items():
    assert line in cell.source
    cell.source = cell.source.replace(line, other)
  nbclient.NotebookClient(
    notebook,
    timeout=900,
    resources={"metadata": {"path": str(tmp_path / "examples")}},
  ).execute()
  assert len(pictures(notebook)) == 3
  mean = re.search(r"^mean +([\d.]+)", printed(notebook), re.M)
  assert float(mean[1]) > 12, "the student recognises walkers; chance is 6"
  assert (tmp_path / "runs/distil_a_walker/eval/25.json").exists()


@pytest.mark.slow
def test_people_are_identified(tmp_path, monkeypatch):
  monkeypatch.setenv("PYTHONPATH", str(ROOT))
  monkeypatch.setenv("JAX_PLATFORMS", "cpu")
  monkeypatch.setenv("TMPDIR", str(tmp_path))
  notebook = nbformat.read(ROOT / "examples" / IDENTIFY, 4)
  for cell in code_cells(notebook):
    cell.outputs, cell.execution_count = [], None
  nbclient.NotebookClient(
    notebook,
    timeout=900,
    resources={"metadata": {"path": str(ROOT / "examples")}},
  ).execute()
  assert len(pictures(notebook)) == 2
  named = re.findall(
    r"^track \d+: (walker \d+|nobody)", printed(notebook), re.M
  )
  assert sorted(named) == ["nobody", "walker 076", "walker 081"]
