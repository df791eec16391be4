"""The program that copies the model of a checkpoint."""

import jax
import numpy as np

from gaitkd_jax import checkpoint
from gaitkd_jax import models
from gaitkd_jax import sharding
from tests.helpers import command
from tests.helpers import configs
from tests.helpers import paths

PROGRAM = ("scripts/keep_model.py",)


def test_what_is_kept_is_the_model_alone(tmp_path):
  config = configs.load("walkers_teacher")[1]
  module = models.create_model(config.model)
  abstract = models.abstract_variables(module)
  shipped = paths.ROOT / "shipped_teachers" / "walkers"
  kept = tmp_path / "kept"
  args = (
    "--config=configs/walkers_teacher.py",
    f"--input={shipped}",
    f"--output={kept}",
  )
  assert f"written: {kept}" in command.output(*args, program=PROGRAM)
  # The same step and bytes, and nothing of an optimiser.
  step = checkpoint.restored_step(shipped)
  assert checkpoint.restored_step(kept) == step
  items = {path.name for path in (kept / str(step)).iterdir() if path.is_dir()}
  assert items == {"model", "meta"}
  whole = sharding.replicated(sharding.create_mesh(1))
  for a, b in zip(
    *(
      jax.tree.leaves(checkpoint.restore_model(path, abstract, whole))
      for path in (shipped, kept)
    ),
    strict=True,
  ):
    np.testing.assert_array_equal(a, b)
  # It says what network it is, and not where it was written.
  assert checkpoint.restored_meta(kept)["model"]["name"] == "deepgaitv2"
  markers = list(kept.rglob("commit_success.txt"))
  assert markers and not any(path.read_text() for path in markers)
  assert "give a new folder" in command.mistake(*args, program=PROGRAM)


def test_another_network_is_one_line(tmp_path):
  line = command.mistake(
    "--config=configs/walkers_baseline.py",
    f"--input={paths.ROOT / 'shipped_teachers' / 'walkers'}",
    f"--output={tmp_path / 'kept'}",
    program=PROGRAM,
  )
  assert "is of another model" in line
  assert not (tmp_path / "kept").exists()
