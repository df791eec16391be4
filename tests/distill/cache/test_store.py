"""The files of a store."""

import functools
import itertools
import json
import os
import shutil

import numpy as np
import pytest

from gaitkd_jax import config as config_lib
from gaitkd_jax import errors
from gaitkd_jax.distill import cache as cache_lib
from tests.helpers import teacher_cache


def test_a_run_may_be_stopped_at_any_moment(filled, tmp_path, monkeypatch):
  """Also between the header, the arrays and the mark of progress."""
  config, folder, _ = filled
  header = json.loads((folder / "gaitbase" / "header.json").read_text())

  class StoppedError(Exception):
    pass

  for moment in range(4):
    calls = itertools.count()

    def stop(*arguments, real, calls=calls, moment=moment, **options):
      if next(calls) == moment:
        raise StoppedError
      return real(*arguments, **options)

    with monkeypatch.context() as patch:
      for name in ("fsync", "posix_fallocate"):
        patch.setattr(os, name, functools.partial(stop, real=getattr(os, name)))
      with pytest.raises(StoppedError):
        cache_lib.Writer(tmp_path / str(moment), header)
    writer = cache_lib.Writer(tmp_path / str(moment), header)
    assert writer.done == 0 and writer.total == 640


@pytest.mark.parametrize(
  "file, damage, words",
  [
    ("logits.npy", "short", "cannot be read"),
    ("logits.npy", "gone", "cannot be read"),
    ("logits.npy", "other", "float32 .*cannot|cannot be read .it is float64"),
    ("header.json", "short", "cannot be read"),
    ("header.json", "gone", "no store"),
    ("progress.json", "short", "cannot be read"),
    ("progress.json", "gone", "0 of 640 rows"),
  ],
)
def test_a_damaged_store_is_refused(filled, tmp_path, file, damage, words):
  config, folder, _ = filled
  for name in config.teachers:
    shutil.copytree(folder / name, tmp_path / name)
  path = tmp_path / "gaitbase" / file
  if damage == "short":
    path.write_bytes(path.read_bytes()[:-5])
  elif damage == "gone":
    path.unlink()
  else:
    np.save(path, np.zeros(3))
  with pytest.raises(errors.UserError, match=words) as e:
    teacher_cache.open_stores(config, tmp_path)
  assert "\n" not in str(e.value) and str(tmp_path) in str(e.value)


def small_header(rows=6, clips=2):
  arrays = {
    "embedding": {"dtype": "float16", "shape": [rows, 3, 2]},
    "logits": {"dtype": "float32", "shape": [rows, 3, 4]},
  }
  return {
    "data": {"sequences": rows // clips},
    "views": clips,
    "arrays": arrays,
  }


def test_rows_come_back_by_sequence_and_clip(tmp_path):
  header = small_header()
  writer = cache_lib.Writer(tmp_path, header)
  assert writer.total == 6 and writer.row_bytes == 3 * (2 * 2 + 4 * 4)
  rng = np.random.default_rng(0)
  rows = {
    key: rng.normal(size=x["shape"]).astype(x["dtype"])
    for key, x in header["arrays"].items()
  }
  writer.write(0, {key: x[:4] for key, x in rows.items()})
  writer.commit(4, {"absolute": 0.5})
  with pytest.raises(errors.UserError, match="4 of 6 rows"):
    cache_lib.Store.open(tmp_path, {})
  again = cache_lib.Writer(tmp_path, header)
  assert again.done == 4 and again.sums == {"absolute": 0.5}
  again.write(4, {key: x[4:] for key, x in rows.items()})
  again.commit(6, again.sums)
  store = cache_lib.Store.open(tmp_path, {})
  assert store.clips == 2
  sequences, clips = np.array([2, 0, 2]), np.array([1, 0, 0])
  found = store.rows(sequences, clips)
  batch = {"sequence": sequences, "clip": clips, "labels": np.arange(3)}
  (attached,) = cache_lib.attach([batch], {"a": store})
  for key, x in rows.items():
    np.testing.assert_array_equal(found[key], x[[5, 0, 4]])
    np.testing.assert_array_equal(
      attached[f"teacher_outputs/a/{key}"], x[[5, 0, 4]]
    )
  assert attached["labels"] is batch["labels"]


def test_a_store_without_sides_centres_no_boundary(filled, monkeypatch):
  config, folder, _ = filled
  centred = config.copy_and_resolve_references()
  centred.teachers.gaitbase.boundary_centre = "neck"
  as_term = config.copy_and_resolve_references()
  with as_term.unlocked():
    as_term.terms.sides = config_lib.term(
      "boundary", weight=1.0, centre="neck", teacher="gaitbase"
    )
  for one in (centred, as_term):
    stores, _ = teacher_cache.open_stores(one, folder)
    assert stores["gaitbase"].has("sides")
  has = cache_lib.Store.has
  monkeypatch.setattr(
    cache_lib.Store,
    "has",
    lambda self, name: name != "sides" and has(self, name),
  )
  teacher_cache.open_stores(config, folder)
  for one in (centred, as_term):
    with pytest.raises(errors.UserError, match="gaitbase has no sides behind"):
      teacher_cache.open_stores(one, folder)
