"""--mode=quantize: a float checkpoint in, a quantised one and a table out."""

import json
import os
import signal

import jax
import numpy as np
import pytest

from data_pipelines.walkers import sequence
from gaitkd_jax import array_names
from gaitkd_jax import checkpoint
from gaitkd_jax import errors
from gaitkd_jax import main
from gaitkd_jax import models
from gaitkd_jax import quantize
from gaitkd_jax import sharding
from gaitkd_jax.evaluation import embed
from gaitkd_jax.evaluation import evaluate
from gaitkd_jax.hosts import stopping
from gaitkd_jax.models import inputs
from gaitkd_jax.models import registry
from gaitkd_jax.quantize import calibration
from gaitkd_jax.quantize import post_training
from gaitkd_jax.training import loop
from gaitkd_jax.training import run as run_lib
from tests.helpers import command
from tests.helpers import configs
from tests.helpers import mistakes
from tests.helpers import networks
from tests.helpers import trees
from tests.helpers import untrained

changed = untrained.changed
FLOAT = {"quantization.weights": 0, "quantization.activations": 0}
BITS = {"quantization.weights": 8, "quantization.activations": 8}
CLASSES = [f"elsewhere/{i}" for i in range(3)]


def save(folder, config, meta):
  """A checkpoint of step 4 whose values are of a size that networks have."""
  variables = networks.random_variables(models.create_model(config))
  checkpoint.save_model(folder / "checkpoints", variables, meta, step=4)
  return str(folder)


@pytest.fixture(scope="module")
def config(prepared, folder):
  """The walkers' student, whose float checkpoint knows three people."""
  c = configs.smoke_config(prepared, "walkers_baseline")
  model = c.model.to_dict() | {"num_classes": len(CLASSES)}
  source = save(folder / "float", model, {"classes": CLASSES})
  return changed(c, **{"eval.checkpoint": source}, **BITS)


@pytest.fixture(scope="module")
def made(config, prepared, folder):
  """What the mode leaves; the config also has a teacher that is not there."""
  c = configs.smoke_config(prepared, "walkers")
  (teacher,) = c.teachers
  c = changed(
    c,
    **{
      "eval.checkpoint": config.eval.checkpoint,
      f"teachers.{teacher}.checkpoint": "/nowhere",
    },
    **BITS,
  )
  workdir = folder / "made"
  return workdir, post_training.quantize_checkpoint(c, workdir)


def files(workdir):
  return {
    path.relative_to(workdir): path.read_bytes()
    for path in workdir.rglob("*")
    if path.is_file()
  }


def test_the_mode_is_on_the_command_line():
  assert main.MODES["quantize"] is post_training.quantize_checkpoint


def stored(path, module):
  """The arrays of a checkpoint's network, by name."""
  form = module.quantization.form if module.quantization else None
  tree = checkpoint.restore_model(
    path,
    models.abstract_variables(module),
    sharding.replicated(sharding.create_mesh(1)),
    form,
  )
  return array_names.by_current_name(tree)


def test_weights_are_kept_and_steps_are_those_of_training(
  config, made, tmp_path
):
  workdir, _ = made
  model = config.model.to_dict() | {"num_classes": len(CLASSES)}
  module = models.create_model(model, quantization=config.quantization)
  new = stored(workdir, module)
  old = stored(config.eval.checkpoint, module.clone(quantization=None))
  assert new.keys() > old.keys()
  for name, array in old.items():
    np.testing.assert_array_equal(new[name], array, name)
  # What a training that starts from this checkpoint has before its first step.
  start = {"train.init_from": config.eval.checkpoint, "eval.checkpoint": ""}
  run = run_lib.prepare(changed(config, **start), tmp_path)
  state = loop.start_from(
    run.config.train.init_from,
    run.init_state(jax.random.key(0)),
    run.place,
    run.student,
  )
  state = loop.start_quantizers(run, state)
  trained = array_names.by_current_name(dict(state.variables))
  steps = new.keys() - old.keys()
  assert len(steps) > 10 and all(name.endswith("step_size") for name in steps)
  for name in steps:
    np.testing.assert_array_equal(new[name], trained[name], name)
    assert not np.array_equal(new[name], np.ones_like(new[name]))


def test_what_is_written_with_the_network(config, made):
  workdir, _ = made
  meta = checkpoint.restored_meta(workdir)
  assert meta["classes"] == CLASSES
  assert meta["model"]["num_classes"] == len(CLASSES)
  assert meta["quantization"] == quantize.Settings(8, 8).form
  assert meta["source"] == config.eval.checkpoint
  written = json.loads((workdir / "config.json").read_text())
  assert written["quantization"]["activations"] == 8
  assert checkpoint.restored_step(workdir) == 4


def test_an_evaluation_reads_it_and_finds_the_same(config, made, capsys):
  workdir, metrics = made
  reported = json.loads((workdir / "eval" / "4.json").read_text())
  c = changed(config, **{"eval.checkpoint": ""})
  assert evaluate.evaluate_checkpoint(c, workdir) == metrics
  assert json.loads((workdir / "eval" / "4.json").read_text()) == reported
  assert {name: reported[name] for name in metrics} == metrics
  with pytest.raises(errors.UserError, match="is W8A8"):
    evaluate.evaluate_checkpoint(changed(c, **FLOAT), workdir)


@pytest.mark.slow
def test_the_table_compares_with_the_float_network(config, tmp_path, capsys):
  """Four bits, so that figures and cosine are not those of float."""
  few = {"quantization.weights": 4, "quantization.activations": 4}
  found = post_training.quantize_checkpoint(changed(config, **few), tmp_path)
  text = capsys.readouterr().out
  assert "steps of" in text and "from 4 batches (least_squares)" in text
  float_config = changed(config, **FLOAT)
  before = evaluate.evaluate_checkpoint(float_config, tmp_path / "float")
  title, head, *rows = text.partition("\nrank1 (%)")[2].splitlines()
  assert title == " of the test set"
  assert head.split() == ["float", "W4A4", "difference"]
  for row, condition in zip(rows, ("NM", "BG", "CL", "mean"), strict=False):
    name, *values = row.split()
    old, new = (m[f"{condition}/rank1"] for m in (before, found))
    assert name == condition
    assert values == [f"{x:.2f}" for x in (old, new, new - old)]
  mesh = sharding.create_mesh()
  embedded = []
  for c, workdir in (
    (float_config, ""),
    (changed(config, **few, **{"eval.checkpoint": ""}), tmp_path),
  ):
    module, variables, _ = embed.restore(c, workdir, mesh)
    x = embed.Embedder(c, module, mesh)(variables).embeddings
    embedded.append(x / np.linalg.norm(x, axis=-1, keepdims=True))
  cosine = np.mean(np.sum(embedded[0] * embedded[1], axis=-1))
  assert 0.5 < cosine < 0.999
  assert rows[4] == f"mean cosine of the embeddings to float: {cosine:.4f}"


def test_a_workdir_that_is_taken_stays_as_it_is(config, made):
  workdir, _ = made
  before = files(workdir)
  text = mistakes.message(post_training.quantize_checkpoint, config, workdir)
  assert f"holds the checkpoint {workdir}/checkpoints/4" in text
  assert "give another --workdir" in text
  assert files(workdir) == before


def test_mistakes_are_one_line_before_any_work(config, made, tmp_path):
  quantised, _ = made
  workdir = tmp_path / "new"
  for changes, words in (
    (FLOAT, "needs bits; give --config.quantization.weights=8"),
    ({"quantization.weights": 9}, "quantization.weights is 9"),
    ({"quantization.observer": "mean"}, "observer is 'mean'"),
    ({"quantization.batches": 0}, "quantization.batches is 0; give at least 1"),
    ({"eval.checkpoint": ""}, "give --config.eval.checkpoint="),
    ({"eval.checkpoint": str(tmp_path)}, "there is no checkpoint in"),
    ({"eval.checkpoint": str(quantised)}, "is quantised already, W8A8"),
    (
      {"eval.checkpoint": "", "train.init_from": str(quantised)},
      "is quantised already, W8A8",
    ),
    ({"model.embedding_dim": 12}, "is of another model"),
    ({"eval.protocol": "casiac"}, "eval.protocol is 'casiac'"),
    ({"batch.identities": 3}, "cannot be split over 8 devices"),
  ):
    c = changed(config, **changes)
    text = mistakes.message(post_training.quantize_checkpoint, c, workdir)
    assert words in text, text
    assert not list(workdir.glob("*")), words


def test_a_mistake_ends_the_command_with_status_2(tmp_path):
  text = command.mistake(
    "--mode=quantize",
    "--config=configs/walkers_baseline.py:smoke",
    f"--workdir={tmp_path}",
  )
  assert "--mode=quantize needs bits" in text


def test_init_from_is_the_other_name_of_the_source(config):
  both = {"train.init_from": "other"}
  c = changed(config, **both)
  assert post_training.source_of(c, "/new") == config.eval.checkpoint
  c = changed(
    config,
    **{"eval.checkpoint": "", "train.init_from": config.eval.checkpoint},
  )
  assert post_training.source_of(c, "/new") == config.eval.checkpoint


@pytest.mark.slow
def test_a_submission_has_no_table(config, tmp_path, capsys):
  for name, subject in (
    ("gallery/0500/00", 1),
    ("gallery/0501/00", 2),
    ("probe/video1", 1),
    ("probe/video0", 2),
  ):
    frames = trees.normalised("casiab", f"{subject:03}", "nm-01", "000", 6)
    trees.write_raw(
      tmp_path / "hid" / name, frames.repeat(2, axis=1).repeat(2, axis=2)
    )
  data = config.data.to_dict() | {
    "name": "hid",
    "root": str(tmp_path / "hid"),
    "prepared": str(tmp_path / "prepared"),
    "variant": "",
    "partition": "",
  }
  c = changed(config, **{"eval.data": data, "eval.protocol": "hid_submission"})
  assert post_training.quantize_checkpoint(c, tmp_path / "run") == {}
  text = capsys.readouterr().out
  assert "no table: a server scores what hid_submission writes" in text
  lines = (tmp_path / "run" / "eval" / "4.csv").read_text().splitlines()
  assert [line[:6] for line in lines] == ["videoI", "video0", "video1"]
  assert checkpoint.restored_step(tmp_path / "run") == 4


@pytest.mark.slow
def test_a_signal_leaves_nothing_or_all(config, tmp_path, monkeypatch):
  """In an evaluation nothing is written yet; later, little is left to do."""
  call, save_model = evaluate.Evaluator.__call__, checkpoint.save_model

  def interrupted(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGTERM)
    return call(*args, **kwargs)

  def saved(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGTERM)
    return save_model(*args, **kwargs)

  with monkeypatch.context() as patch:
    patch.setattr(evaluate.Evaluator, "__call__", interrupted)
    with (
      pytest.raises(errors.Stopped, match="stopped by SIGTERM"),
      stopping.listening(),
    ):
      post_training.quantize_checkpoint(config, tmp_path)
  assert files(tmp_path) == {}
  monkeypatch.setattr(checkpoint, "save_model", saved)
  found = post_training.quantize_checkpoint(config, tmp_path)
  assert found and checkpoint.restored_step(tmp_path) == 4


def silhouettes(n, s):
  """Walkers, uint8 `[n, s, 64, 44]`."""
  clips = [
    sequence.render_sequence("full", f"{i + 1:03}", "nm-01", "090")[:s]
    for i in range(n)
  ]
  return np.stack(clips)[..., 10:54]


def clips_of(module, mesh, n=8, s=4):
  """A batch of walkers, with heat maps where the network takes them."""
  batch = {"silhouettes": silhouettes(n, s)}
  if module.in_channels > 1:
    heat = np.random.default_rng(0).uniform(size=(n, s, 64, 44, 2)) ** 4
    batch["heatmaps"] = (heat * batch["silhouettes"][..., None]).astype("uint8")
  return sharding.put_batch(batch, mesh)


def settled(module, x):
  """Fresh variables, whose running statistics are those of a batch."""

  def once(variables, _):
    _, new = module.apply(
      variables,
      x,
      train=True,
      mutable=["batch_stats"],
      rngs={name: jax.random.key(1) for name in module.rng_streams},
    )
    return {**variables, **new}, None

  variables = models.init_variables(module, jax.random.key(0))
  if not variables["batch_stats"]:
    return variables
  return jax.jit(lambda v: jax.lax.scan(once, v, None, 40)[0])(variables)


# Fast to compile; the others are slow.
QUICK = {"gaitset"}


@pytest.mark.parametrize(
  "kind",
  [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
    for name in registry.known_kinds()
    # Their blocks are those of deepgaitv2-p3d, or half of them.
    if name not in ("deepgaitv2-2d", "deepgaitv2-3d", "foundationgait")
  ],
)
def test_eight_bits_keep_what_every_network_says(kind):
  mesh = sharding.create_mesh(1)
  module = networks.smoke(registry.known_kinds()[kind])
  batch = clips_of(module, mesh)
  x = inputs.network_input(batch, module.in_channels)
  variables = settled(module, x)
  expected = jax.jit(module.apply)(variables, x)["retrieval"]
  cosines = []
  for bits in (8, 4):
    settings = quantize.Settings(weights=bits, activations=bits)
    quantised = module.clone(quantization=settings)
    new = post_training.with_quantizers(quantised, variables, mesh)
    steps = calibration.observe(quantised, new, [batch], mesh)
    new = calibration.with_steps(new, steps)
    found = jax.jit(quantised.apply)(new, x)["retrieval"]
    assert np.isfinite(found).all()
    cosines.append(post_training.mean_cosine(expected, found))
  eight, four = cosines
  assert eight > 0.995 and four < eight - 0.005, cosines


def test_mean_cosine():
  rng = np.random.default_rng(0)
  one = rng.normal(size=(5000, 2, 3)).astype(np.float32)
  assert post_training.mean_cosine(one, 3 * one) == pytest.approx(1)
  assert post_training.mean_cosine(one, -one) == pytest.approx(-1)
  other = one.copy()
  other[:1250] = 0
  assert post_training.mean_cosine(one, other) == pytest.approx(0.75)


def test_what_stays_float_is_said(capsys):
  module = networks.smoke(registry.known_kinds()["swingait"])
  calibration.tell_float_parts(module)
  assert capsys.readouterr().out == ""
  calibration.tell_float_parts(module.clone(quantization=quantize.Settings()))
  text = capsys.readouterr().out
  assert text == (
    "quantised, W8A8; in float stay the attention blocks and what is between "
    "them and the strips\n"
  )
