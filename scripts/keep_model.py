"""Copies the model of a checkpoint without its optimiser, to be shipped.

python scripts/keep_model.py --config=configs/walkers_teacher.py \
  --input=runs/walkers_teacher --output=shipped_teachers/walkers
"""

from absl import flags
from ml_collections import config_flags

from gaitkd_jax import checkpoint
from gaitkd_jax import cli
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax import storage

_CONFIG = config_flags.DEFINE_config_file("config", lock_config=True)
_INPUT = flags.DEFINE_string("input", None, "workdir or step", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "new folder", required=True)


def main(argv: list[str]) -> None:
  """Reads the model and writes it alone."""
  del argv
  config = cli.config(_CONFIG)
  output = storage.path(_OUTPUT.value)
  if storage.names(output) or storage.exists(output) and not output.is_dir():
    raise errors.UserError(f"--output {output} exists; give a new folder")
  variables = checkpoint.restore_model(
    _INPUT.value,
    models.abstract_variables(models.create_model(config.model)),
    sharding.replicated(sharding.create_mesh(1)),
  )
  checkpoint.save_model(
    output,
    variables,
    {"model": config.model.to_dict()},
    step=checkpoint.restored_step(_INPUT.value),
  )
  # Orbax writes the paths of this machine into them; only that they exist
  # counts.
  for file in storage.files(output):
    if file.name == "commit_success.txt":
      storage.write_text(file, "")
  print(f"written: {output}")


if __name__ == "__main__":
  cli.run(main)
