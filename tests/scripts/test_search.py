"""The program that searches: by stores, and by silhouettes."""

import csv
import shutil

import jax
import numpy as np
import pytest

from data_pipelines import datasets
from data_pipelines import pipeline
from data_pipelines import store as sequence_store
from gaitkd_jax import checkpoint
from gaitkd_jax import config as config_lib
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax.evaluation import distances
from gaitkd_jax.evaluation import embedding
from gaitkd_jax.evaluation import store as store_lib
from gaitkd_jax.identify import probes
from tests.helpers import command
from tests.helpers import trees

SEARCH = ("scripts/search.py",)
MODEL = dict(
  name="gaitbase",
  channels=(4, 8, 8, 8),
  embedding_dim=8,
  num_classes=2,
  parts=4,
)
MAX_FRAMES = 3  # fewer than most sequences have


def draw(module):
  """Variables of a network; its own initialisation takes seconds."""
  rng = np.random.default_rng(0)

  def value(path, x):
    if len(x.shape) > 1:
      values = rng.standard_normal(x.shape) / np.sqrt(np.prod(x.shape[:-1]))
    else:
      values = np.full(x.shape, path[-1].key in ("scale", "var"))
    return values.astype(np.float32)

  return jax.tree.map_with_path(value, models.abstract_variables(module))


def cut(folder, count):
  """Deletes all but the first `count` frames."""
  for path in sorted(folder.iterdir())[count:]:
    path.unlink()


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
  """A tree, and what an evaluation makes of it; of several lengths."""
  root = tmp_path_factory.mktemp("search")
  trees.write(root / "tree", "casiab", subjects=4, frames=4)
  subject = root / "tree" / trees.first_subjects("casiab", 4)[-1]
  cut(subject / "nm-01" / "090", 2)
  cut(subject / "cl-01" / "000", 1)
  data = config_lib.data(
    "casiab", root=str(root / "tree"), prepared=str(root / "prepared")
  )
  split = sequence_store.SequenceStore.from_builder(
    datasets.prepare(data), "test"
  )
  module = models.create_model(MODEL)
  variables = draw(module)
  checkpoint.save_model(root / "model", variables, {}, step=3)
  mesh = sharding.create_mesh(1)
  values = embedding.embed(
    embedding.make_embed_step(module, mesh),
    jax.device_put(variables, sharding.replicated(mesh)),
    pipeline.eval_batches(split, batch_size=8, max_frames=MAX_FRAMES),
    len(split),
    mesh,
  )
  columns = {
    key: getattr(split, key)
    for key in ("subjects", "conditions", "views", "names")
  }
  metadata = {
    "data": "casiab",
    "model": MODEL,
    "dtype": "float32",
    "checkpoint": str(root / "model"),
    "step": 3,
    "digest": checkpoint.digest(variables),
    "metric": "euclidean",
    "max_frames": MAX_FRAMES,
  }
  store_lib.write(root / "store", values, **columns, metadata=metadata)
  return root, subject, values, columns, metadata


def run(*args):
  return command.run(*args, program=SEARCH)


def test_silhouettes_are_embedded_as_in_an_evaluation(evaluated):
  root, subject, values, columns, _ = evaluated
  done = run(
    f"--gallery={root / 'store'}",
    f"--probe={subject}",
    f"--output={root / 'found.csv'}",
    "--batch_size=3",
    "--top=99",
  )
  assert done.returncode == 0, done.stderr
  found = {}
  with (root / "found.csv").open(newline="") as file:
    for row in csv.DictReader(file):
      found.setdefault(row["probe"], []).append(row)
  keys = trees.sequences("casiab", subject.name)
  assert sorted(found) == sorted(f"{c}/{view}" for _, c, view in keys)
  names = list(columns["names"])
  # Half of float32's digits are lost where equal embeddings cancel.
  most = 1e-3 * np.linalg.norm(values, axis=-1).mean()
  for probe, rows in found.items():
    assert [row["rank"] for row in rows] == [
      str(rank) for rank in range(1, len(names) + 1)
    ]
    place = names.index(f"{subject.name}-{probe.replace('/', '-')}")
    expected = distances.part_distances(values[place : place + 1], values)[0]
    order = [names.index(row["gallery"]) for row in rows]
    assert sorted(order) == list(range(len(names)))
    distance = np.array([float(row["distance"]) for row in rows])
    np.testing.assert_array_equal(distance, np.sort(distance))
    np.testing.assert_allclose(distance, expected[order], rtol=0, atol=most)
    assert expected.max() > 50 * most


def test_stores_are_searched(evaluated):
  root, _, values, columns, _ = evaluated
  names = [f"probe {i}" for i in range(23)]
  rows = np.arange(23) % len(values)
  rng = np.random.default_rng(0)
  probes = values[rows] + rng.normal(
    scale=values.std(), size=values[rows].shape
  ).astype(np.float32)
  texts = {key: ["x"] * 23 for key in ("subjects", "conditions", "views")}
  np.savez(root / "probes.npz", embeddings=probes, **texts, names=names)
  done = run(
    f"--gallery={root / 'store'}",
    f"--probe={root / 'probes.npz'}",
    "--top=2",
    "--metric=cosine",
  )
  assert done.returncode == 0, done.stderr
  lines = done.stdout.splitlines()
  assert lines[0] == f"cosine distance, {len(values)} sequences in the gallery"
  assert lines[-1].startswith("and 3 more probes; ")
  expected = []
  matrix = distances.part_distances(probes[:20], values, "cosine")
  for name, row in zip(names, matrix, strict=False):
    order = np.argsort(row, kind="stable")[:2]
    expected.append(f"probe {name}")
    expected += [
      f"{rank:>6}  {row[i]:>10.4f}  {columns['names'][i]}"
      for rank, i in enumerate(order, 1)
    ]
  assert lines[1:-1] == expected


@pytest.mark.parametrize(
  "args, words",
  [
    (("--probe={tree}",), "neither a store"),
    (("--gallery={tree}", "--probe={tree}"), "has no header.json"),
    (("--probe={narrow}",), "[4, 7], those of --gallery"),
    (("--probe={store}", "--output={tree}"), "not a file"),
  ],
)
def test_one_line_and_status_2(evaluated, tmp_path, args, words):
  root = evaluated[0]
  one = {key: ["a"] for key in ("subjects", "conditions", "views")}
  narrow = tmp_path / "narrow.npz"
  np.savez(narrow, embeddings=np.zeros((1, 4, 7), np.float32), **one)
  empty = tmp_path / "a tree"
  empty.mkdir()
  places = dict(tree=empty, narrow=narrow, store=root / "store")
  args = (f"--gallery={root / 'store'}", *(a.format(**places) for a in args))
  done = run(*args)
  assert done.returncode == 2, done.stderr
  assert words in done.stderr
  assert done.stderr.count("\n") == 1, done.stderr


def reopened(tmp_path, metadata):
  values = np.zeros((1, 4, 8), np.float32)
  path = store_lib.write(
    tmp_path / "store", values, ["a"], ["b"], ["c"], ["d"], metadata
  )
  return store_lib.EmbeddingStore.open(path)


@pytest.mark.parametrize(
  "change, moved, words",
  [
    (dict(digest="0" * 64), "", "is not the one that made g .digest .* 00000"),
    (dict(checkpoint="/none"), "", "/none, is not there; .* --checkpoint"),
    ({}, "/none", "/none, is not there"),
    (dict(model=None), "", "model is missing"),
    (dict(model=MODEL | {"parts": 8}), "", "is of another model"),
    (dict(model=MODEL | {"in_channels": 2}), "", "reads heat maps"),
  ],
)
def test_the_gallerys_network_is_needed(
  evaluated, tmp_path, change, moved, words
):
  metadata = {
    k: v for k, v in (evaluated[-1] | change).items() if v is not None
  }
  gallery = reopened(tmp_path, metadata)
  mesh = sharding.create_mesh(1)
  with pytest.raises(errors.UserError, match=words):
    probes.restore_network(gallery, "g", moved, mesh)


def test_a_checkpoint_that_has_moved(evaluated, tmp_path):
  root, *_, metadata = evaluated
  gallery = reopened(tmp_path, metadata | {"checkpoint": "/none"})
  # A workdir whose run went on: the newest checkpoint is another's.
  shutil.copytree(root / "model" / "3", tmp_path / "checkpoints" / "3")
  other = jax.tree.map(
    lambda x: np.ones(x.shape, x.dtype),
    models.abstract_variables(models.create_model(MODEL)),
  )
  checkpoint.save_model(tmp_path / "checkpoints", other, {}, step=4)
  mesh = sharding.create_mesh(1)
  _, variables = probes.restore_network(gallery, "g", str(tmp_path), mesh)
  assert checkpoint.digest(variables) == metadata["digest"]
