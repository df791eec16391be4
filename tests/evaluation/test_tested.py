"""An exported file in place of a checkpoint: the same figures, its own name."""

import json

import numpy as np
import pytest

from gaitkd_jax import checkpoint
from gaitkd_jax import errors
from gaitkd_jax import runtime
from gaitkd_jax import sharding
from gaitkd_jax.evaluation import cross_domain
from gaitkd_jax.evaluation import embed
from gaitkd_jax.evaluation import evaluate
from gaitkd_jax.evaluation import store as store_lib
from gaitkd_jax.evaluation import tested
from gaitkd_jax.evaluation.report import saliency_cards
from tests.helpers import exports
from tests.helpers import onnx_files
from tests.helpers import pages
from tests.helpers import untrained

changed = untrained.changed


@pytest.fixture(scope="module")
def of_checkpoint(prepared, folder):
  return untrained.config(prepared, folder)


@pytest.fixture(scope="module")
def exported(of_checkpoint, tmp_path_factory):
  """A config of the file that the checkpoint is exported to, and the file."""
  path = tmp_path_factory.mktemp("exported") / "student.onnx"
  exports.export(of_checkpoint.eval.checkpoint, path, config=of_checkpoint)
  changes = {"eval.checkpoint": "", "eval.model": str(path)}
  return changed(of_checkpoint, **changes), path


def test_figures_are_those_of_the_checkpoint(
  of_checkpoint, exported, tmp_path, capsys
):
  config, path = exported
  quick = {"eval.report": False}
  wanted = evaluate.evaluate_checkpoint(
    changed(of_checkpoint, **quick), tmp_path
  )
  found = evaluate.evaluate_checkpoint(changed(config, **quick), tmp_path)
  assert found.keys() == wanted.keys()
  ranks = [name for name in wanted if name.endswith("rank1")]
  assert len(ranks) > 3
  assert [found[k] for k in ranks] == [wanted[k] for k in ranks]
  # Each has files of its own, and says what it is of.
  files = {p.name for p in (tmp_path / "eval").iterdir()}
  assert files == {"4.json", "4_student.json"}
  written = json.loads((tmp_path / "eval" / "4_student.json").read_text())
  assert written["file"] == "student.onnx" and written["step"] == 4
  assert written["digest"] == runtime.load(path).digest
  assert "file" not in json.loads((tmp_path / "eval" / "4.json").read_text())
  assert f"{path}: gaitbase for float, of step 4, on " in (
    capsys.readouterr().out
  )


@pytest.mark.slow
def test_the_page_names_the_file(exported, tmp_path):
  evaluate.evaluate_checkpoint(
    changed(exported[0], **{"eval.map": ""}), tmp_path
  )
  page = pages.Page(tmp_path / "eval" / "4_student.html")
  assert "student.onnx" in page.text
  # A file has no gradient that says where the network looks.
  assert saliency_cards.NO_NETWORK in page.text


def test_a_store_is_known_by_the_file(of_checkpoint, exported, tmp_path):
  config, path = exported
  store = embed.embed_checkpoint(config, tmp_path)
  assert store == tmp_path / "embeddings" / "4_student"
  opened = store_lib.EmbeddingStore.open(store)
  assert opened.metadata["digest"] == runtime.load(path).digest
  assert opened.metadata["exported"] == str(path)
  assert "checkpoint" not in opened.metadata
  mesh = sharding.create_mesh(1)
  module, variables, _ = tested.restore(of_checkpoint, "", mesh)
  wanted = embed.Embedder(of_checkpoint, module, mesh)(variables)
  np.testing.assert_allclose(
    np.asarray(opened), wanted.embeddings, rtol=1e-4, atol=1e-5
  )
  named = {"eval.embeddings": str(store), "eval.report": False}
  evaluate.score_store(changed(config, **named), tmp_path)
  written = json.loads((tmp_path / "eval" / "4_student.json").read_text())
  assert written["file"] == "student.onnx"


def test_other_data_sets_are_tested_by_a_file(exported, tmp_path):
  config, _ = exported
  config = changed(config, **{"eval.report": False})
  (name,) = cross_domain.evaluate_on(config, tmp_path, "walkers:tiny")
  assert name == "walkers:tiny"
  (file,) = (tmp_path / "eval").iterdir()
  assert file.name == "4_student_on_walkers_tiny.json"


def test_what_cannot_be_tested_is_refused(exported, tmp_path):
  config, path = exported
  foreign = tmp_path / "foreign.onnx"
  foreign.write_bytes(onnx_files.graph().SerializeToString())
  for changes, words in (
    ({"eval.checkpoint": "elsewhere"}, "give one of them"),
    ({"eval.model": str(tmp_path / "absent.onnx")}, "cannot be read"),
    ({"eval.model": str(foreign)}, "not written by"),
    ({"eval.model": "gs:/x"}, "write it as"),
  ):
    with pytest.raises(errors.UserError, match=words) as e:
      evaluate.evaluate_checkpoint(changed(config, **changes), tmp_path)
    assert "\n" not in str(e.value)


def test_several_processes_do_not_share_a_file(exported, monkeypatch):
  config, path = exported
  monkeypatch.setattr(tested.jax, "process_count", lambda: 2)
  with pytest.raises(errors.UserError, match="run by one process"):
    tested.load(config, "", sharding.create_mesh(1))


def test_digests(of_checkpoint, exported):
  mesh = sharding.create_mesh(1)
  file = tested.load(exported[0], "", mesh)
  kept = tested.load(of_checkpoint, "", mesh)
  assert kept.name == "4" and file.name == "4_student"
  assert kept.digest == checkpoint.digest(kept.variables)
  assert file.module.metadata["checkpoint"]["digest"] == kept.digest
  assert file.digest != kept.digest and not kept.made_by
