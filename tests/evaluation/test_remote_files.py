"""What a run names may lie in an object store: lists, classes, reports."""

import json

import pytest

from gaitkd_jax import errors
from gaitkd_jax.distill import class_mapping
from gaitkd_jax.evaluation.protocols import lists
from gaitkd_jax.evaluation.report import curves


def test_lists(any_bucket):
  any_bucket.write(
    "lists.csv", b"\xef\xbb\xbfname,role\r\na,probe\nb,gallery\n"
  )
  place = f"{any_bucket.url}/lists.csv"
  assert lists.read(place) == {"probes": ["a"], "gallery": ["b"]}
  any_bucket.write("lists.csv", b"name,role\na,prob\n")
  with pytest.raises(errors.UserError, match=f"{place}: line 2"):
    lists.read(place)
  with pytest.raises(errors.UserError, match="no such bucket or file"):
    lists.read(f"{any_bucket.url}/other.csv")


def test_names_of_classes(any_bucket):
  any_bucket.write("names", b"001\n\n002\n")
  names = class_mapping.read_names(f"{any_bucket.url}/names", "casiab")
  assert names == ["casiab/001", "casiab/002"]
  with pytest.raises(errors.UserError, match="cannot be read"):
    class_mapping.read_names(f"{any_bucket.url}/other", "casiab")


def test_curves(any_bucket):
  lines = [json.dumps({"step": i, "train/loss": i / 2}) for i in (1, 2)]
  any_bucket.write("run/metrics.jsonl", "\n".join(lines).encode())
  series = curves.read(f"{any_bucket.url}/run/metrics.jsonl")
  assert series["train/loss"][1].tolist() == [0.5, 1.0]
  with pytest.raises(errors.UserError, match="no such bucket or file"):
    curves.read(f"{any_bucket.url}/other/metrics.jsonl")
