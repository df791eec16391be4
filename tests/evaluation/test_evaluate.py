"""Embedding, storing and scoring: the same metrics on every way."""

import json

import numpy as np
import pytest

from data_pipelines import datasets
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax.evaluation import embed
from gaitkd_jax.evaluation import evaluate
from gaitkd_jax.evaluation import store as store_lib
from gaitkd_jax.training import loop
from tests.helpers import configs
from tests.helpers import pages
from tests.helpers import untrained

changed = untrained.changed


@pytest.fixture(scope="module")
def config(prepared, folder):
  return untrained.config(prepared, folder)


@pytest.fixture(scope="module")
def evaluated(config, folder):
  """Metrics of the mode eval, and the store of the mode embed."""
  results = evaluate.evaluate_checkpoint(config, folder / "modes")
  store = embed.embed_checkpoint(config, folder / "modes")
  return config, results, store


@pytest.mark.parametrize("batch_size, devices", [(1, 1), (7, 8), (64, 1)])
def test_batches_and_devices_do_not_matter(evaluated, batch_size, devices):
  config, results, store = evaluated
  config = changed(config, **{"eval.batch_size": batch_size})
  mesh = sharding.create_mesh(devices)
  module = models.create_model(config.model)
  _, variables, _ = embed.restore(config, "", mesh)
  found = evaluate.Evaluator(config, module, mesh)(variables).flat()
  assert found == {k: results[k] for k in found}
  assert len(found) > 6
  embedded = embed.Embedder(config, module, mesh)(variables)
  np.testing.assert_allclose(
    embedded.embeddings,
    np.asarray(store_lib.EmbeddingStore.open(store)),
    rtol=1e-4,
    atol=1e-5,
  )


def test_a_store_scores_as_the_network_does(evaluated, folder, capsys):
  config, results, store = evaluated
  assert store == folder / "modes" / "embeddings" / "4"
  again = evaluate.score_store(config, folder / "modes")
  assert again == results
  text = capsys.readouterr().out
  assert "Rank-1 (%) by probe view" in text and "TAR@FAR=0.01" in text
  written = json.loads((folder / "modes" / "eval" / "4.json").read_text())
  assert written["step"] == 4
  assert written["NM/EER"] == pytest.approx(results["NM/EER"])
  named = changed(
    config, **{"eval.embeddings": str(store), "eval.memory_gib": 0.05}
  )
  assert evaluate.score_store(named, folder / "elsewhere") == results
  page = pages.Page(folder / "elsewhere" / "eval" / "4.html")
  assert {"map", "saliency"} <= set(page.sections)
  assert "no network here" in page.text


def test_other_protocols_of_a_store(evaluated, tmp_path, capsys):
  config, _, store = evaluated
  opened = store_lib.EmbeddingStore.open(store)
  lines = [
    f"{name},{'probe' if condition == 'nm-05' else 'gallery'}"
    for name, condition in zip(opened.names, opened.conditions, strict=True)
    if condition in ("nm-05", "nm-01")
  ]
  table = tmp_path / "lists.csv"
  table.write_text("\n".join(["name,role", *lines]) + "\n")
  changes = {"eval.embeddings": str(store), "eval.report": False}
  lists = {"eval.protocol": "lists", "eval.lists": str(table)}
  config = changed(config, **changes)
  found = evaluate.score_store(changed(config, **lists), tmp_path)
  assert 0 < found["all/mAP"] <= 100 and "all/EER" in found
  # All other walks are in neither list, and that is said.
  written = json.loads((tmp_path / "eval" / "4.json").read_text())
  idle = written["left_out"][0]
  assert idle["count"] == len(opened.names) - len(lines)
  assert (idle["what"], idle["figures"]) == ("sequence", "every figure")
  text = capsys.readouterr().out
  assert f"  {idle['count']} sequences from every figure: they are in " in text
  cross = {"eval.protocol": "casiab_cross_view"}
  assert "NM/mAP" in evaluate.score_store(changed(config, **cross), tmp_path)
  # What another protocol found is not replaced.
  kept = json.loads((tmp_path / "eval" / "4.json").read_text())
  assert kept["protocol"] == "lists" and kept["all/mAP"] == found["all/mAP"]
  assert (tmp_path / "eval" / "4_casiab_cross_view.json").exists()
  # A store that was made for lists holds them.
  stored = embed.embed_checkpoint(changed(config, **lists), tmp_path)
  again = {"eval.protocol": "lists", "eval.embeddings": str(stored)}
  assert evaluate.score_store(changed(config, **again), tmp_path) == found
  for changes, words in (
    ({"eval.protocol": "lists"}, "CSV"),
    ({"eval.lists": str(table)}, "eval.protocol=lists"),
    ({"eval.protocol": "hid_submission"}, "'probe'"),
    ({"eval.embeddings": str(tmp_path / "no")}, "no"),
    ({"eval.store_dtype": "int8"}, "float16"),
    ({"eval.metric": "cosin"}, "euclidean"),
    ({"eval.memory_gib": -1.0}, "more than 0"),
  ):
    with pytest.raises(errors.UserError, match=words) as e:
      evaluate.score_store(changed(config, **changes), tmp_path)
    assert "\n" not in str(e.value)


def test_a_checkpoint_of_other_classes_is_tested(evaluated, tmp_path):
  config, results, _ = evaluated
  other = changed(config, **{"model.num_classes": 99, "eval.report": False})
  stored = embed.embed_checkpoint(other, tmp_path)
  metadata = store_lib.EmbeddingStore.open(stored).metadata
  # What searches the store later builds the network that made it.
  assert metadata["model"]["num_classes"] == config.model.num_classes != 99
  other = changed(other, **{"eval.embeddings": str(stored)})
  assert evaluate.score_store(other, tmp_path) == results


def test_scores_of_one_basis(config):
  mesh = sharding.create_mesh()
  module = models.create_model(config.model)

  def evaluator(**changes):
    return evaluate.Evaluator(changed(config, **changes), module, mesh)

  one = evaluator()
  assert one.basis == evaluator(**{"eval.batch_size": 3}).basis
  others = [
    {"eval.subjects": 3},
    {"eval.max_frames": 5},
    {"eval.metric": "cosine"},
    {"eval.protocol": "casiab_cross_view"},
    {"model.retrieval": "neck"},
  ]
  found = {
    evaluator(**{key: value for key, value in x.items()}).basis for x in others
  }
  assert len(found | {one.basis}) == 1 + len(others)
  assert {evaluator(**x).test_data for x in others} == {one.test_data}


def test_listed_probes_that_are_not_there_are_said(
  config, evaluated, tmp_path, monkeypatch
):
  _, _, store = evaluated
  names = store_lib.EmbeddingStore.open(store).names.tolist()
  listed = {"probes": names[::9]}
  monkeypatch.setattr(datasets, "roles", lambda data, builder: listed)
  absent = ("x-nm-01-000", "y-nm-01-000")
  monkeypatch.setattr(datasets, "absent_probes", lambda data: absent)
  config = changed(
    config,
    **{
      "eval.protocol": "gait3d",
      "eval.embeddings": str(store),
      "eval.report": False,
    },
  )
  evaluate.score_store(config, tmp_path)
  written = json.loads((tmp_path / "eval" / "4.json").read_text())
  first = written["left_out"][0]
  assert (first["what"], first["count"]) == ("listed probe", 2)
  assert first["examples"] == list(absent)
  # A store that was made for this protocol keeps them.
  stored = embed.embed_checkpoint(config, tmp_path)
  monkeypatch.setattr(datasets, "absent_probes", None)
  config = changed(config, **{"eval.embeddings": str(stored)})
  evaluate.score_store(config, tmp_path)
  again = json.loads((tmp_path / "eval" / "4.json").read_text())
  assert again["left_out"] == written["left_out"]


def test_submissions_are_files(tmp_path, config):
  rng = np.random.default_rng(0)
  subjects = [f"{i % 5:04}" for i in range(20)] + ["probe"] * 2
  views = [f"v{i}" for i in range(20)] + ["aaa", "bbb"]
  values = np.arange(20) % 5
  values = np.concatenate([values, [3, 1]])[:, None, None]
  embedded = values + 0.01 * rng.normal(size=(22, 2, 3))
  store = store_lib.write(
    tmp_path / "store",
    embedded.astype(np.float32),
    subjects,
    ["00"] * 22,
    views,
    views,
    {},
  )
  config = changed(
    config,
    **{"eval.embeddings": str(store), "eval.protocol": "hid_submission"},
  )
  assert evaluate.score_store(config, tmp_path) == {}
  lines = (tmp_path / "eval" / "store.csv").read_text().splitlines()
  assert lines == ["videoID,label", "aaa,0003", "bbb,0001"]


@pytest.mark.slow
def test_some_subjects_while_training_all_at_the_end(
  prepared, tmp_path, capsys
):
  config = configs.smoke_config(
    prepared,
    "walkers_baseline",
    **{"train.steps": 2, "train.eval_every": 1, "eval.subjects": 3},
  )
  results = loop.train_and_evaluate(config, tmp_path)
  lines = [
    json.loads(line)
    for line in (tmp_path / "metrics.jsonl").read_text().splitlines()
  ]
  some = [
    x["eval_subset/mean/rank1"] for x in lines if "eval_subset/mean/rank1" in x
  ]
  whole = [x["eval/mean/rank1"] for x in lines if "eval/mean/rank1" in x]
  assert len(some) == 2 and whole == [results["mean/rank1"]]
  subset = json.loads((tmp_path / "eval" / "1_subset.json").read_text())
  (left_out,) = subset["left_out"]
  assert (left_out["count"], left_out["what"]) == (1, "subject")
  found = json.loads((tmp_path / "eval" / "2.json").read_text())
  assert found["mean/rank1"] == results["mean/rank1"]
  # What marks the best checkpoint is comparable: all of the same subjects.
  kept = tmp_path / "checkpoints" / "2" / "metrics" / "metrics"
  assert json.loads(kept.read_text())["mean/rank1"] == some[1]
  text = capsys.readouterr().out
  assert text.count("embedded 120 sequences") == 2
  assert text.count("embedded 160 sequences") == 1
  mesh = sharding.create_mesh()
  module, variables, _ = embed.restore(config, tmp_path, mesh)
  embedder = embed.Embedder(config, module, mesh)
  chosen, everybody = embedder(variables, 3), embedder(variables)
  assert len(np.unique(chosen.labels.subjects)) == 3
  there = np.isin(everybody.labels.names, chosen.labels.names)
  np.testing.assert_allclose(
    chosen.embeddings, everybody.embeddings[there], rtol=1e-5, atol=1e-5
  )
  np.testing.assert_array_equal(
    chosen.labels.subjects, everybody.labels.subjects[there]
  )


def test_what_cannot_be_scored_is_found_before_training(config, tmp_path):
  module = models.create_model(config.model)
  mesh = sharding.create_mesh()
  strangers = {"eval.protocol": "oumvlp"}
  with pytest.raises(errors.UserError, match="condition"):
    evaluate.Evaluator(changed(config, **strangers), module, mesh)
  names = embed.Embedder(config, module, mesh).labels().names
  table = tmp_path / "lists.csv"
  # Subjects in the middle, whom two evenly chosen ones leave out.
  middle = names[len(names) // 3 : len(names) // 3 + 2]
  table.write_text(f"name,role\n{middle[0]},probe\n{middle[1]},gallery\n")
  lists = {"eval.protocol": "lists", "eval.lists": str(table)}
  evaluate.Evaluator(changed(config, **lists), module, mesh)
  few = changed(config, **lists, **{"eval.subjects": 2})
  with pytest.raises(errors.UserError, match="eval.subjects is 2, too few"):
    evaluate.Evaluator(few, module, mesh)


def test_the_primary_metric_is_that_of_the_protocol(config):
  assert evaluate.primary_metric(config) == "mean/rank1"
  other = changed(config, **{"eval.protocol": "hid_submission"})
  assert evaluate.primary_metric(other) == ""
  for key in ("eval.protocol", "eval.metric"):
    with pytest.raises(errors.UserError, match=f"{key} is 'x'; give one of"):
      evaluate.primary_metric(changed(config, **{key: "x"}))


def test_what_was_scored_is_not_scored_again(config, tmp_path, monkeypatch):
  module = models.create_model(config.model)
  mesh = sharding.create_mesh()
  _, variables, path = embed.restore(config, "", mesh)
  evaluator = evaluate.Evaluator(config, module, mesh)
  found = evaluator(variables)
  monkeypatch.setattr(evaluate, "score", None)
  finished = evaluator.finish(variables, 4, tmp_path, path)
  assert finished.ranks is found.ranks and finished.verification
  written = json.loads((tmp_path / "eval" / "4.json").read_text())
  assert list(written)[:3] == ["step", "protocol", "metric"]
  assert written["left_out"] == []
  assert {k: written[k] for k in found.flat()} == found.flat()
  page = pages.Page(tmp_path / "eval" / "4.html")
  assert {"map", "saliency"} <= set(page.sections)
  # Three probes, each by thirds of the body and as a whole.
  drawn = [i for i in page.images if "saliency of" in i["alt"]]
  assert len(drawn) == 12 and "no gradient" not in page.text
