"""Command line: trains, evaluates, embeds, scores, or precomputes teachers.

python -m gaitkd_jax.main --config=configs/casiab.py --workdir=runs/casiab
python -m gaitkd_jax.main --config=configs/casiab.py:help
"""

import os

from absl import flags
import jax
from ml_collections import config_flags

from gaitkd_jax import cli
from gaitkd_jax import errors
from gaitkd_jax.distill.cache import precompute
from gaitkd_jax.evaluation import cross_domain
from gaitkd_jax.evaluation import embed
from gaitkd_jax.evaluation import evaluate
from gaitkd_jax.training import loop

MODES = {
  "train": loop.train_and_evaluate,
  "eval": evaluate.evaluate_checkpoint,
  "embed": embed.embed_checkpoint,
  "score": evaluate.score_store,
  "cache": precompute.fill,
}
_CONFIG = config_flags.DEFINE_config_file(
  "config",
  help_string="file[:variant], or file:help for what it offers",
  lock_config=True,
)
_WORKDIR = flags.DEFINE_string(
  "workdir", None, "folder for all results; runs/<file>_<variant> if not given"
)
_MODE = flags.DEFINE_enum("mode", "train", list(MODES), "what to do")
_ON = flags.DEFINE_string(
  "on", "", "data sets for --mode=eval: all, or casiab,walkers:tiny,ccpg:<root>"
)
_MULTIHOST = flags.DEFINE_bool(
  "multihost", False, "connect the processes of a pod or cluster first"
)


def _connect() -> None:
  try:
    jax.distributed.initialize()
  except (ValueError, RuntimeError) as e:
    raise errors.UserError(
      f"--multihost finds no other process to connect to ({e}); leave it out "
      "on one host"
    ) from e


def main(argv: list[str]) -> None:
  """Runs the mode; the logic is in modules that can be imported."""
  del argv
  config = cli.config(_CONFIG)
  name = cli.run_name(config_flags.get_config_filename(flags.FLAGS["config"]))
  workdir = _WORKDIR.value or os.path.join("runs", name)
  if _MULTIHOST.value:
    _connect()
  print(f"{jax.device_count()} devices ({jax.devices()[0].device_kind})")
  mode = MODES[_MODE.value]
  if _ON.value:
    mode = cross_domain.mode(_ON.value, _MODE.value)
  mode(config, workdir)


if __name__ == "__main__":
  cli.run(main)
