"""What is written beside prepared data."""

import pytest

from data_pipelines import build_notes
from data_pipelines import examples
from data_pipelines import tree
from gaitkd_jax import errors

SKIPPED = [("/b/002", "no PNG file"), ("/a/001", "none of 3 frames is usable")]


def test_notes_are_read_back(tmp_path):
  source = {"root": "/data", "modalities": ["silhouettes"], "probes": []}
  notes = build_notes.Notes(SKIPPED)
  notes.mended.append(("/c/003", "halved"))
  notes.write(tmp_path, source)
  assert build_notes.read_source(tmp_path) == source
  assert (tmp_path / build_notes.SKIPPED_FILE).read_text() == (
    "/a/001\tnone of 3 frames is usable\n/b/002\tno PNG file\n"
  )
  assert (tmp_path / build_notes.MENDED_FILE).read_text() == "/c/003\thalved\n"


@pytest.mark.parametrize("text", [None, "", "{"])
def test_damaged_notes_are_one_line(tmp_path, text):
  if text is not None:
    (tmp_path / build_notes.SOURCE_FILE).write_text(text)
  with pytest.raises(errors.UserError, match=f"delete {tmp_path},"):
    build_notes.read_source(tmp_path)


def test_the_first_ones_are_logged_and_all_are_counted(tmp_path, caplog):
  build_notes.Notes().log(tmp_path)
  assert not caplog.text
  many = [(f"/a/{i:03}", "why") for i in range(30)]
  build_notes.Notes(many).log(tmp_path)
  assert "Skipped /a/009: why" in caplog.text
  assert "/a/010" not in caplog.text
  assert "Skipped 30 sequences in all; they are listed in" in caplog.text
  # A name that is not UTF-8 can be shown, too.
  build_notes.Notes([("/\udcff", "why")]).log(tmp_path)
  assert "Skipped /?: why" in caplog.text


def test_what_was_mended_is_counted_by_kind(tmp_path, caplog):
  notes = build_notes.Notes()
  for i in range(3):
    folder = tree.SequenceFolder("001", "nm-01", f"{i:03}", f"/a/{i:03}")
    outcome = examples.Outcome(folder, {}, mended=("halved",))
    notes.add(outcome)
    notes.add(outcome)  # a sequence that is read again counts once
  notes.log(tmp_path)
  assert "3 sequences: halved (the first: /a/000)" in caplog.text
  assert "mended.txt" in caplog.text
