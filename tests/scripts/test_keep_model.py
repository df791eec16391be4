"""The copy of a model without its optimiser."""

from gaitkd_jax import checkpoint
from gaitkd_jax import models
from gaitkd_jax import sharding
from tests.helpers import command
from tests.helpers import configs
from tests.helpers import paths

PROGRAM = ("scripts/keep_model.py",)
SHIPPED = paths.ROOT / "shipped_teachers" / "walkers"
CONFIG = "--config=configs/walkers_teacher.py"


def restore(path):
  _, config = configs.load("walkers_teacher")
  abstract = models.abstract_variables(models.create_model(config.model))
  whole = sharding.replicated(sharding.create_mesh(1))
  return checkpoint.restore_model(path, abstract, whole)


def test_the_copy_is_the_model(tmp_path):
  args = (CONFIG, f"--input={SHIPPED}", f"--output={tmp_path / 'kept'}")
  done = command.run(*args, program=PROGRAM)
  assert done.returncode == 0, done.stderr
  assert f"written: {tmp_path / 'kept'}" in done.stdout
  kept, shipped = restore(tmp_path / "kept"), restore(SHIPPED)
  assert checkpoint.digest(kept) == checkpoint.digest(shipped)
  assert checkpoint.restored_step(tmp_path / "kept") == 1000
  meta = checkpoint.restored_meta(tmp_path / "kept")
  assert meta["model"] == configs.load("walkers_teacher")[1].model.to_dict() | {
    "channels": [8, 16, 32, 64],
    "blocks": [0, 1, 1, 1],
  }
  text = b"".join(p.read_bytes() for p in tmp_path.rglob("commit_success.txt"))
  assert text == b""


def test_a_folder_that_is_not_empty_is_refused(tmp_path):
  (tmp_path / "file").touch()
  args = (CONFIG, f"--input={SHIPPED}", f"--output={tmp_path}")
  done = command.run(*args, program=PROGRAM)
  assert done.returncode == 2
  assert f"--output {tmp_path} exists" in done.stderr
  assert done.stderr.count("\n") == 1, done.stderr
