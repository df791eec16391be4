"""Classes split over devices: the same numbers in a share of the memory."""

import json
import re

import jax
import numpy as np
import pytest

from gaitkd_jax import checkpoint
from gaitkd_jax import distill
from gaitkd_jax import models
from gaitkd_jax import placement
from gaitkd_jax import sharding
from gaitkd_jax.evaluation import embedding
from gaitkd_jax.evaluation import evaluate
from gaitkd_jax.training import loop
from tests.helpers import configs
from tests.helpers import distillation
from tests.helpers import networks
from tests.helpers import processes
from tests.helpers import split_classes as helpers
from tests.helpers import untrained

PROGRAM = """
import sys
import jax
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)
folder, expected, port, process = sys.argv[1:]
jax.distributed.initialize(f"localhost:{port}", 2, int(process))
import numpy as np
from gaitkd_jax import checkpoint, models, placement, sharding
from gaitkd_jax.evaluation import page_saliency
from tests.helpers import split_classes
mesh = sharding.create_mesh()
module = models.create_model(split_classes.MODEL)
place = placement.place(module, "split", mesh)
variables = checkpoint.restore_model(
  folder, models.abstract_variables(module), place
)
kernel = variables["params"]["neck"]["kernel"]
assert not kernel.is_fully_addressable
assert checkpoint.digest(variables) == expected
found = page_saliency._fetched(kernel)  # what no page looks at
assert found.shape == kernel.shape and not found.any()
stem = variables["params"]["stem"]["kernel"]
np.testing.assert_array_equal(
  page_saliency._fetched(stem), stem.addressable_data(0)
)
"""


def network(**changes):
  return models.create_model(helpers.MODEL | changes)


def kernel_of(tree):
  """The only classifier in a tree."""
  (found,) = (
    leaf
    for path, leaf in jax.tree.leaves_with_path(tree)
    if "neck/kernel" in jax.tree_util.keystr(path, simple=True, separator="/")
  )
  return found


def train_losses(workdir):
  """By logged step."""
  lines = (workdir / "metrics.jsonl").read_text().splitlines()
  steps = map(json.loads, lines)
  return [line["train/loss"] for line in steps if "train/loss" in line]


@pytest.mark.parametrize(
  "choice, devices, classes, split, note",
  [
    ("whole", 8, 104, False, ""),
    ("split", 1, 104, False, ""),
    ("split", 8, 0, False, ""),
    ("split", 8, 104, True, "104 classes.*split: 13 on a device"),
    ("split", 8, 74, False, "74 classes.*whole on each of 8 devices.*evenly"),
    ("auto", 8, 104, False, ""),
  ],
)
def test_who_is_split(choice, devices, classes, split, note):
  mesh = sharding.create_mesh(devices)
  found = placement.place(network(num_classes=classes), choice, mesh)
  assert bool(found.split) == split
  assert re.search(note, found.note) and bool(found.note) == bool(note)


@pytest.mark.parametrize(
  "classes, split", [(2040, False), (2048, True), (2049, False)]
)
def test_large_classifiers_are_split_by_themselves(classes, split):
  module = network(num_classes=classes, parts=16, embedding_dim=256)
  found = placement.place(
    module, "auto", sharding.create_mesh(8), "the teacher"
  )
  assert bool(found.split) == split
  assert ("of the teacher" in found.note) == (classes > 2040)
  if split:
    size = 4 * np.prod(found.split["neck/kernel"][0])
    assert size == placement.LARGE


@pytest.mark.parametrize(
  "model, expected",
  [
    (helpers.MODEL, {"neck/kernel": ((4, 4, 104), 2)}),
    (
      dict(name="gaitgl", channels=(2, 2, 2), num_classes=8),
      {"classifier/kernel": ((64, 2, 8), 2)},
    ),
  ],
)
def test_classes_are_found_in_any_network(model, expected):
  assert placement.class_axes(models.create_model(model)) == expected


def test_what_an_optimiser_keeps_follows_its_parameter():
  training = helpers.made("centres", 8, "split")
  state = training.init(jax.random.key(0))
  assert jax.tree.map(lambda x: x.sharding, state) == training.place(state)
  for tree in (state.params, state.opt_state):
    kernel = kernel_of(tree)
    assert kernel.shape == (4, 4, 104)
    shards = {s.data.nbytes for s in kernel.addressable_shards}
    assert shards == {kernel.nbytes // 8}
  centres = state.aux["memory"]["t/a"]
  assert centres.shape[0] == 104
  assert centres.addressable_shards[0].data.shape[0] == 13
  teacher = kernel_of(training.frozen["a"])
  assert teacher.addressable_shards[0].data.nbytes == teacher.nbytes // 8
  stem = state.params["stem"]["kernel"]
  assert stem.addressable_shards[0].data.shape == stem.shape


@pytest.mark.slow
def test_a_device_has_its_share_of_a_step():
  """Of what it is given, and of what takes its place."""
  split, whole = (
    helpers.made("gaitkd", 8, choice).compiled().memory_analysis()
    for choice in ("split", "whole")
  )
  kernel = 4 * 4 * 4 * helpers.CLASSES
  less = whole.argument_size_in_bytes - split.argument_size_in_bytes
  assert less == 4 * kernel * 7 // 8  # student, momentum, two teachers
  less = whole.alias_size_in_bytes - split.alias_size_in_bytes
  assert less == 2 * kernel * 7 // 8  # donated: student and momentum


@pytest.mark.slow
@pytest.mark.parametrize("objective", list(helpers.OBJECTIVES))
def test_five_steps_are_those_of_whole_classes(objective):
  split = helpers.trained(objective, 8, "split")
  assert split[0][0]["loss"] != split[0][4]["loss"]
  helpers.check_equal(split, helpers.trained(objective, 8, "whole"))
  helpers.check_equal(split, helpers.trained(objective, 1, "split"))
  text = helpers.made(objective, 8, "split").compiled().as_text()
  arrays = set(re.findall(r"\b[a-z]+\d*\[[\d,]*\]", text))
  assert any(re.search(r"[\[,]13\]", a) for a in arrays)
  assert not {a for a in arrays if re.search(r"[\[,]104[\],]", a)}


@pytest.mark.slow
@pytest.mark.parametrize(
  "first, then",
  [
    ((8, "split"), (1, "split")),
    ((8, "split"), (4, "split")),
    ((8, "split"), (8, "whole")),
    ((1, "whole"), (8, "split")),
  ],
)
def test_a_checkpoint_goes_on_however_its_classes_lie(first, then, tmp_path):
  unbroken = helpers.trained("centres", *first)
  begun = helpers.made("centres", *first)
  _, state = begun.run(begun.start(), range(2))
  training = helpers.made("centres", *then)
  state = helpers.moved(training, state, tmp_path)
  shards = {s.data.shape[2] for s in kernel_of(state.params).addressable_shards}
  assert shards == {104 // then[0] if then[1] == "split" else 104}
  history, state = training.run(state, range(2, 5))
  helpers.check_equal((history, state), (unbroken[0][2:], unbroken[1]))


def test_a_digest_is_that_of_whole_arrays():
  module = network()
  variables = networks.random_variables(module)
  place = placement.place(module, "split", sharding.create_mesh(8))
  split = jax.device_put(variables, place(variables))
  assert not kernel_of(split).is_fully_replicated
  assert checkpoint.digest(split) == checkpoint.digest(variables)


@pytest.mark.slow
def test_two_processes_share_the_classes_of_a_checkpoint(tmp_path):
  module = network()
  variables = networks.random_variables(module)
  checkpoint.save_model(tmp_path / "saved", variables, {})
  processes.run_two(
    PROGRAM, tmp_path, tmp_path / "saved", checkpoint.digest(variables)
  )


def test_embedding_needs_no_classes():
  module, mesh = network(), sharding.create_mesh(8)
  variables = networks.random_variables(module)
  batch = sharding.put_batch(
    dict(
      silhouettes=distillation.batch(0)["silhouettes"],
      lengths=np.full(16, 2, np.int32),
      index=np.arange(16, dtype=np.int32),
      mask=np.ones(16, bool),
    ),
    mesh,
  )
  step = embedding.make_embed_step(module, mesh)
  found = []
  for choice in ("split", "whole"):
    place = placement.place(module, choice, mesh)
    placed = jax.device_put(variables, place(variables))
    found.append(step(placed, batch)[0])
    text = step.lower(placed, batch).compile().as_text()
    assert not re.search(r"[\[,](104|13)[\],]", text)
  np.testing.assert_array_equal(*found)


def test_teachers_that_are_looked_up_lie_nowhere():
  teachers = distillation.make_teachers(a={}, b={})
  looked_up = {
    "a": teachers["a"],
    "b": distill.Teacher(**{**vars(teachers["b"]), "lookup": lambda x: x}),
  }
  mesh = sharding.create_mesh(8)
  assert distill.place_teachers(looked_up, "split", mesh).keys() == {"a"}


@pytest.mark.slow
def test_a_run_with_split_classes_is_the_run(
  uninterrupted, prepared, tmp_path, capsys
):
  _, workdir, results, _ = uninterrupted
  config = configs.smoke_config(prepared, **{"sharding.classifier": "split"})
  found = loop.train_and_evaluate(config, tmp_path)
  said = capsys.readouterr().out
  assert "classifier of the student, 32 classes" in said
  assert "classifier of teacher deepgaitv2, 32 classes" in said
  for a, b in zip(*map(train_losses, (tmp_path, workdir)), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4)
  assert abs(found["mean/rank1"] - results["mean/rank1"]) < 2
  again = evaluate.evaluate_checkpoint(config, tmp_path)
  assert again == pytest.approx(found, rel=1e-5)
  # It goes on whole, and nothing is said of other settings.
  whole = {"sharding.classifier": "whole", "train.steps": configs.STEPS + 1}
  loop.train_and_evaluate(untrained.changed(config, **whole), tmp_path)
  said = capsys.readouterr().out
  assert f"resumed from {tmp_path}" in said
  assert "classifier" not in said
