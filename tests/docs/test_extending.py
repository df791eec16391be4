"""The differences of docs/extending.md apply, and what they add works."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.helpers import trees
from tests.helpers.paths import ROOT

PACKAGES = ("gaitkd_jax", "data_pipelines", "configs")


def section(title):
  """The text below a heading."""
  text = (ROOT / "docs" / "extending.md").read_text()
  return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.M | re.S)[1]


@pytest.fixture
def extended(tmp_path, request):
  """A copy of the code with the difference of a section, by indirect name."""
  for name in PACKAGES:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
  diffs = re.findall(
    r"^```diff\n(.*?)^```", section(request.param), re.M | re.S
  )
  assert diffs
  for diff in diffs:
    subprocess.run(
      ["git", "apply", "-"],
      input=diff,
      cwd=tmp_path,
      check=True,
      text=True,
    )
  return tmp_path


def run(code, folder):
  """Runs code in the copy; returns what it printed."""
  done = subprocess.run(
    [sys.executable, "-c", code],
    cwd=folder,
    capture_output=True,
    text=True,
    env=os.environ | {"PYTHONPATH": str(folder), "JAX_PLATFORMS": "cpu"},
  )
  assert done.returncode == 0, done.stderr
  return done.stdout


def of_section(title):
  """Runs a test in a copy with the difference of this section."""
  return pytest.mark.parametrize("extended", [title], indirect=True)


@pytest.mark.parametrize(
  "title", ["A network", "A loss", "A data set", "A protocol"]
)
def test_a_new_thing_is_a_file_or_folder_and_a_table(title):
  changed = re.findall(r"^--- (.*)\n\+\+\+ b/(.*)$", section(title), re.M)
  new = {path.rpartition("/")[0] for old, path in changed if old == "/dev/null"}
  assert len(new) == 1
  assert sum(old != "/dev/null" for old, _ in changed) == 1


@of_section("A network")
def test_network(extended):
  code = """
import json
import jax
import numpy as np
from gaitkd_jax import cost
from gaitkd_jax import errors
from gaitkd_jax import models

def relative(x, y):
  return float(abs(x - y).max() / abs(y).max())

config = dict(name="stripnet", embedding_dim=8, num_classes=5)
module = models.create_model(config)
variables = jax.jit(lambda key: models.init_variables(module, key))(
  jax.random.key(0))
rng = np.random.default_rng(0)
# With biases, so that a blank frame leaves a trace wherever it is read.
variables["params"] = jax.tree.map(
  lambda x: rng.normal(size=x.shape), variables["params"])
clips = rng.uniform(size=(2, 4, 64, 44))
lengths = np.array([4, 2])
apply = jax.jit(module.apply)
out = apply(variables, clips, lengths)
alone = apply(variables, clips[1:, 1::-1])
_, updated = jax.eval_shape(lambda: module.apply(
  variables, clips, lengths, train=True, mutable=["batch_stats"]))
try:
  refused = models.create_model(config | {"embedding_dim": 0})
except errors.UserError as e:
  refused = str(e)
print(json.dumps(dict(
  shapes={name: value.shape for name, value in out.items()},
  difference=relative(out["retrieval"][1], alone["retrieval"][0]),
  learns=sorted(updated["batch_stats"]),
  receptive_field=cost.receptive_field(module),
  refused=refused,
)))
"""
  found = json.loads(run(code, extended))
  assert found["shapes"] == {
    "stage0": [2, 4, 64, 44, 8],
    "stage1": [2, 4, 32, 22, 8],
    "set": [2, 32, 22, 8],
    "embedding": [2, 16, 8],
    "neck": [2, 16, 8],
    "logits": [2, 16, 5],
    "retrieval": [2, 16, 8],
  }
  # Neither the order of frames matters nor what lies beyond the last.
  assert found["difference"] < 1e-5
  assert found["learns"] == ["neck", "stage1", "stem"]
  assert found["receptive_field"] == 1
  assert "embedding_dim of stripnet is 0; give at least 1" in found["refused"]


@of_section("A loss")
def test_loss(extended):
  code = """
import json
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict
import numpy as np
from gaitkd_jax import config as config_lib
from gaitkd_jax import distill
from gaitkd_jax import models

network = ConfigDict(dict(
  name="gaitbase", channels=(2, 2, 4, 4), embedding_dim=4, num_classes=4))
teachers = distill.create_teachers({"deepgaitv2": config_lib.teacher(
  network, decision_weight=0.0, boundary_weight=0.0)})
terms = {"pearson": config_lib.term("pearson", weight=3.0)}
objective = distill.create_objective(
  models.create_model(network), teachers, terms=terms)
rng = np.random.default_rng(0)
shapes = dict(embedding=(6, 16, 4), logits=(6, 16, 4))
student, teacher = (
  {name: jnp.asarray(rng.normal(size=shape), jnp.float32)
   for name, shape in shapes.items()} for _ in range(2))

def loss(student, teacher):
  context = distill.Context(
    student=student, teacher_outputs={"deepgaitv2": teacher},
    labels=jnp.array([0, 0, 1, 1, 2, 2]), step=jnp.array(0))
  value, metrics, _ = objective(context, objective.init_aux(jax.random.key(0)))
  return value, metrics

(value, metrics), (to_student, to_teacher) = jax.value_and_grad(
  loss, argnums=(0, 1), has_aux=True)(student, teacher)
print(json.dumps(dict(
  value=float(value), metric=float(metrics["pearson/deepgaitv2"]),
  arrays=[x["embedding"].tolist() for x in (student, teacher)],
  student=float(abs(to_student["embedding"]).max()),
  teacher=float(abs(to_teacher["embedding"]).max()),
)))
"""
  found = json.loads(run(code, extended))
  student, teacher = (np.array(x).reshape(-1, 4).T for x in found["arrays"])
  correlations = [
    np.corrcoef(s, t)[0, 1] for s, t in zip(student, teacher, strict=True)
  ]
  expected = 1 - np.mean(correlations)
  assert found["metric"] == pytest.approx(expected, abs=1e-5)
  assert found["value"] == pytest.approx(3 * expected, abs=1e-5)
  assert found["student"] > 1e-4
  assert found["teacher"] == 0


@of_section("A data set")
def test_data_set(extended):
  for subject, weather in (("001", "dry"), ("021", "rain"), ("022", "dry")):
    folder = extended / "tree" / subject / weather / "090"
    trees.write_raw(folder, trees.images(subject, weather, "090", 3))
  code = """
import types
from data_pipelines import datasets
from data_pipelines import store
data = types.SimpleNamespace(
  name="parkwalks", root="tree", prepared="prepared", partition="",
  modalities=("silhouettes",), train_subjects=(), test_subjects=())
split = store.SequenceStore.from_builder(datasets.prepare(data), "test")
print(*split.names)
"""
  assert "021-rain-090 022-dry-090" in run(code, extended)


@of_section("A protocol")
def test_protocol(extended):
  code = """
import json
import numpy as np
from gaitkd_jax import evaluation
from gaitkd_jax.evaluation import protocols

metrics = evaluation.evaluate_embeddings(
  "parkwalks",
  np.reshape([0.0, 10.0, 8.0, 10.0, 8.0], (5, 1, 1)),
  subjects=["021", "021", "022", "021", "022"],
  conditions=["dry", "dry", "dry", "rain", "rain"],
  views=["000", "090", "000", "000", "000"],
)
primary = protocols.find("parkwalks").primary_metric.flat
print(json.dumps(dict(metrics=metrics, primary=primary)))
"""
  # The walk by which 021 would be recognised in the rain is its second in the
  # gallery, and left out.
  assert json.loads(run(code, extended)) == {
    "metrics": {"rain/rank1": 50.0, "rain/rank5": 100.0},
    "primary": "rain/rank1",
  }
