"""A run that goes on: what is refused, said and kept."""

import json
import re

import numpy as np
import pytest

from gaitkd_jax import checkpoint
from gaitkd_jax import workdir as workdir_lib
from gaitkd_jax.training import basis
from tests.helpers import configs
from tests.helpers import mistakes
from tests.helpers import paths
from tests.helpers import untrained

CLASSES = [f"walkers/{i:03d}" for i in range(8)]
FACTS = {
  "classes": CLASSES,
  "data": {"sequences": 64, "frames": 2000, "bytes": 90_000},
  "teachers": {"deepgaitv2": "a" * 64},
  "test_data": "b" * 64,
  "evaluation": "c" * 64,
}


@pytest.fixture
def config(tmp_path):
  return configs.smoke_config(tmp_path / "prepared")


@pytest.fixture
def before(config, tmp_path):
  """A workdir of two steps by `config`."""
  return left_behind(tmp_path / "run", config)


def left_behind(workdir, config, **changes):
  meta = {"model": config.model.to_dict(), **FACTS, **changes}
  arrays = {"params": {"a": np.zeros(2, np.float32)}, "batch_stats": {}}
  checkpoint.save_model(workdir / "checkpoints", arrays, meta, step=2)
  workdir_lib.write_config(workdir, config.to_dict(), None, {})
  return workdir


def resumed(config, workdir, changes=(), **facts):
  other = untrained.changed(config, **dict(changes))
  basis.check_config(other, workdir)
  return basis.compare(other, workdir, {**FACTS, **facts})


def test_nothing_is_said_of_a_new_run_or_an_equal_one(config, before, tmp_path):
  basis.check_config(config, tmp_path / "new")
  new = basis.compare(config, tmp_path / "new", FACTS)
  equal = resumed(config, before)
  for found in (new, equal):
    assert found.changed == {} and found.text == "" and found.same_evaluation
  assert (new.step, equal.step) == (None, 2)


@pytest.mark.parametrize("key", basis.NO_BASIS)
def test_what_is_no_basis_is_not_said(config, before, key):
  value = untrained.changed(config).to_dict()
  for name in key.split("."):
    value = value[name]
  other = {bool: not value, str: "else"}.get(type(value), 7)
  found = resumed(config, before, {key: other})
  assert found.changed == {} and found.same_evaluation


def test_the_docs_list_what_is_no_basis():
  text = (paths.ROOT / "docs" / "training.md").read_text()
  (row,) = [x for x in text.splitlines() if x.startswith("| `train.steps`")]
  for key in basis.NO_BASIS:
    assert f"`{key}`" in row or (
      key.startswith("eval.") and f"`{key.removeprefix('eval.')}`" in row
    ), key


@pytest.mark.parametrize(
  "changes",
  [
    {"seed": 7},
    {"batch.sequences": 3, "batch.identities": 5},
    {"losses.triplet.weight": 0.5},
    {"optim.learning_rate": 0.3},
    {"teachers.deepgaitv2.decision_weight": 2.0},
    {"dtype": "bfloat16"},
    {"augment.flip": 0.25},
  ],
)
def test_other_settings_are_said_and_go_on(config, before, changes):
  found = resumed(config, before, changes)
  old = config.to_dict()
  lines = found.text.splitlines()
  assert lines.pop(0) == "settings differ from those until step 2:"
  assert len(lines) == len(changes)
  for key, new in changes.items():
    value = old
    for name in key.split("."):
      value = value[name]
    assert found.changed[key] == (value, new)
    assert f"  {key}: {basis.shown(value)} -> {basis.shown(new)}" in lines
  assert found.same_evaluation


@pytest.mark.parametrize(
  "changes, facts, words",
  [
    ({"data.name": "casiab"}, {}, "was trained on walkers, .* casiab"),
    ({"model.channels": (4, 8, 16, 24)}, {}, "model.channels was .*24"),
    ({"model.num_classes": 9}, {}, "model.num_classes was 32 and is 9"),
    ({}, {"classes": CLASSES[:7]}, "8 subjects, .* have 7; 1 .* walkers/007"),
    ({}, {"classes": CLASSES[::-1]}, "8 subjects, .* have 8"),
    (
      {"data.root": "/elsewhere"},
      {"data": {**FACTS["data"], "sequences": 63}},
      "64 sequences, and data.root, .* 63",
    ),
  ],
)
def test_other_data_and_networks_are_refused(
  config, before, changes, facts, words
):
  text = mistakes.message(resumed, config, before, changes, **facts)
  assert str(before / "checkpoints" / "2") in text
  assert "give another --workdir" in text
  assert f"train.init_from={before}" in text
  assert re.search(words, text), text


def test_another_kind_of_network_is_refused(config, before):
  other = configs.smoke_config("", "deepgaitv2")
  changed = untrained.changed(config)
  changed.unlock()
  changed.model = other.model
  text = mistakes.message(basis.check_config, changed, before)
  assert 'model.name was "gaitbase" and is "deepgaitv2"' in text


def test_data_that_moved_are_the_same_data(config, before):
  moved = {
    "data.root": "/elsewhere",
    "data.partition": "/elsewhere/list.json",
    "teachers.deepgaitv2.checkpoint": "/elsewhere/teacher",
  }
  assert resumed(config, before, moved).changed == {}
  # The same people and sequences, cut out otherwise.
  recut = {**FACTS["data"], "frames": 1990, "bytes": 80_000}
  found = resumed(config, before, moved, data=recut)
  assert found.changed.keys() == {
    "data.root",
    "data.partition",
    "data (frames)",
    "data (bytes)",
  }
  assert found.changed["data (frames)"] == (2000, 1990)
  # Another teacher in the same place.
  found = resumed(config, before, teachers={"deepgaitv2": "d" * 64})
  assert found.changed == {"teachers.deepgaitv2 (weights)": ("a" * 8, "d" * 8)}
  found = resumed(config, before, test_data="e" * 64, evaluation="f" * 64)
  assert found.changed == {"eval (what is scored)": ("c" * 8, "f" * 8)}


def test_workdirs_of_earlier_versions_go_on(config, tmp_path):
  old = config.to_dict()
  del old["cache"], old["eval"]["lists"], old["teachers"]["deepgaitv2"]["cache"]
  del old["losses"]["triplet"]["margin"]
  workdir = tmp_path / "old"
  arrays = {"params": {"a": np.zeros(2, np.float32)}, "batch_stats": {}}
  model = config.model.to_dict()
  del model["remat"], old["model"]["remat"]
  meta = {"model": model, "classes": CLASSES}
  checkpoint.save_model(workdir / "checkpoints", arrays, meta, step=2)
  (workdir / "config.json").write_text(json.dumps(old))
  assert resumed(config, workdir).text == ""
  found = resumed(config, workdir, {"losses.triplet.margin": 0.4})
  assert found.changed == {"losses.triplet.margin": (0.2, 0.4)}
  assert found.same_evaluation
  assert not resumed(config, workdir, {"eval.subjects": 2}).same_evaluation
  (workdir / "config.json").write_text('{"seed": ')
  found = resumed(config, workdir)
  assert "config.json cannot be read" in found.text
  assert not found.same_evaluation
  (workdir / "checkpoints" / "2" / "meta" / "metadata").write_text("{}")
  assert resumed(config, workdir).changed == {}


def test_a_new_section_is_one_line(config, before):
  other = {"eval.data": {"name": "casiab", "root": "/data/casia-b"}}
  found = resumed(config, before, other, test_data="e" * 64)
  assert list(found.changed) == ["eval.data"]
  assert max(map(len, found.text.splitlines())) < 80
  assert not found.same_evaluation
