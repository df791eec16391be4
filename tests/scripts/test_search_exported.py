"""The program that searches, with an exported file in place of a checkpoint."""

import csv

import numpy as np
import pytest

from data_pipelines import datasets
from data_pipelines import pipeline
from data_pipelines import store as sequence_store
from gaitkd_jax import config as config_lib
from gaitkd_jax import errors
from gaitkd_jax import runtime
from gaitkd_jax import sharding
from gaitkd_jax.evaluation import embedding
from gaitkd_jax.evaluation import store as store_lib
from gaitkd_jax.identify import probes
from tests.helpers import command
from tests.helpers import exports
from tests.helpers import gait_videos
from tests.helpers import onnx_files
from tests.helpers import trees

MODEL = dict(
  name="gaitbase",
  channels=(4, 8, 8, 8),
  embedding_dim=8,
  num_classes=2,
  parts=4,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
  """A tree, a file, and galleries that the file and its checkpoint made."""
  root = tmp_path_factory.mktemp("search")
  trees.write(root / "tree", "casiab", subjects=4, frames=4)
  data = config_lib.data(
    "casiab", root=str(root / "tree"), prepared=str(root / "prepared")
  )
  split = sequence_store.SequenceStore.from_builder(
    datasets.prepare(data), "test"
  )
  run = exports.save(root / "run", MODEL, classes=[])
  exports.export(run, root / "student.onnx")
  network = runtime.load(root / "student.onnx")
  mesh = sharding.create_mesh(1)
  values = embedding.embed(
    embedding.make_embed_step(network, mesh),
    None,
    pipeline.eval_batches(split, batch_size=8),
    len(split),
    mesh,
  )
  columns = {
    key: getattr(split, key)
    for key in ("subjects", "conditions", "views", "names")
  }
  known = {
    "data": "casiab",
    "model": MODEL,
    "metric": "euclidean",
    "max_frames": 720,
  }
  of_file = {
    "exported": str(root / "student.onnx"),
    "digest": network.digest,
  }
  of_checkpoint = {
    "checkpoint": run,
    "digest": network.metadata["checkpoint"]["digest"],
  }
  for name, more in (("of_file", of_file), ("of_checkpoint", of_checkpoint)):
    store_lib.write(root / name, values, **columns, metadata=known | more)
  subject = root / "tree" / trees.first_subjects("casiab", 4)[-1]
  # Half of float32's digits are lost where equal embeddings cancel.
  return root, subject, 1e-3 * float(np.linalg.norm(values, axis=-1).mean())


@pytest.mark.parametrize(
  "gallery, args",
  [
    ("of_file", ()),
    pytest.param(
      "of_checkpoint",
      ("--model={root}/student.onnx",),
      marks=pytest.mark.slow,
    ),
  ],
)
def test_silhouettes_find_themselves(made, tmp_path, gallery, args):
  root, subject, most = made
  found = tmp_path / "found.csv"
  text = command.output(
    f"--gallery={root / gallery}",
    f"--probe={subject}",
    f"--output={found}",
    "--top=99",
    *(arg.format(root=root) for arg in args),
    program=("scripts/search.py",),
  )
  assert f"{root}/student.onnx: gaitbase for float, of step 5, on " in text
  with found.open(newline="") as file:
    rows = list(csv.DictReader(file))
  own = [
    float(row["distance"])
    for row in rows
    if row["gallery"] == f"{subject.name}-{row['probe'].replace('/', '-')}"
  ]
  assert len(own) == len(trees.sequences("casiab", subject.name))
  assert max(own) < most < max(float(row["distance"]) for row in rows) / 10


@pytest.mark.parametrize(
  "args, words",
  [
    (("--model={other}",), "is neither the file that made"),
    (("--model={root}/nothing.onnx",), "cannot be read"),
    (("--model={other}", "--checkpoint={root}/run"), "are both given"),
  ],
)
def test_files_that_do_not_fit_are_refused(made, tmp_path, args, words):
  root, subject, _ = made
  other = onnx_files.write(tmp_path / "other.onnx")
  line = command.mistake(
    f"--gallery={root / 'of_file'}",
    f"--probe={subject}",
    *(arg.format(root=root, other=other) for arg in args),
    program=("scripts/search.py",),
  )
  assert words in line


def test_a_folder_of_people_is_a_gallery(made, tmp_path):
  """As it is to `python -m gaitkd_jax.identify`."""
  root = made[0]
  people = tmp_path / "people"
  for name, subject in (("Ada", "080"), ("Jörg", "095")):
    gait_videos.write_folder(people / name, gait_videos.clip(subject))
  probe = gait_videos.write_folder(tmp_path / "who", gait_videos.clip("095"))
  args = f"--gallery={people}", f"--probe={probe}"
  with pytest.raises(errors.UserError, match="no network is named that"):
    probes.open_gallery(str(people))
  text = command.output(
    *args,
    f"--model={root / 'student.onnx'}",
    "--threshold=9",
    program=("scripts/search.py",),
  )
  assert "euclidean distance, 2 sequences in the gallery" in text
  first = text[text.index("probe who") :].splitlines()[1].split()
  assert first[0] == "1" and float(first[1]) < 0.1 and first[2] == "Jörg/Jörg"
  assert "verdict: Jörg" in text
