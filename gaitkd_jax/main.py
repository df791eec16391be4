"""Command line: trains, quantises, evaluates, embeds, precomputes teachers.

python -m gaitkd_jax.main --config=configs/casiab.py --workdir=runs/casiab
python -m gaitkd_jax.main --config=configs/casiab.py:help

Status 0: the work is done; 2: a mistake; 75: stopped by SIGTERM or ctrl-C, all
that was done is kept and the same command goes on; 76: another process of the
run is gone, start all of them again.
"""

import functools
import os

from absl import flags
import jax
from ml_collections import config_flags

from gaitkd_jax import checkpoint
from gaitkd_jax import cli
from gaitkd_jax import compilation
from gaitkd_jax import errors
from gaitkd_jax.distill.cache import precompute
from gaitkd_jax.evaluation import cross_domain
from gaitkd_jax.evaluation import embed
from gaitkd_jax.evaluation import evaluate
from gaitkd_jax.hosts import multihost
from gaitkd_jax.hosts import stopping
from gaitkd_jax.quantize import post_training
from gaitkd_jax.training import loop
from gaitkd_jax.training import profiling

MODES = {
  "train": loop.train_and_evaluate,
  "eval": evaluate.evaluate_checkpoint,
  "embed": embed.embed_checkpoint,
  "score": evaluate.score_store,
  "cache": precompute.fill,
  "quantize": post_training.quantize_checkpoint,
}
# Modes that go on where they were stopped.
_RESUMED = ("train", "cache", "embed")
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
_CLIPS_ONLY = flags.DEFINE_bool(
  "cache.clips_only",
  False,
  "--mode=cache runs no teacher, and writes the clips for other programs",
)
_PROFILE = flags.DEFINE_string(
  "profile", "", "trace steps of --mode=train: 10, or 100:110 for those between"
)
_MULTIHOST = flags.DEFINE_bool(
  "multihost", False, "connect the processes of a pod or cluster first"
)
_COORDINATOR = flags.DEFINE_string(
  "coordinator",
  None,
  "host:port of process 0, where no cluster manager tells it; the same for all",
)
_NUM_PROCESSES = flags.DEFINE_integer(
  "num_processes", None, "of the run, with --coordinator"
)
_PROCESS_ID = flags.DEFINE_integer(
  "process_id", None, "which of them this is, from 0, with --coordinator"
)
_CONNECT_SECONDS = flags.DEFINE_integer(
  "connect_seconds", 300, "how long processes wait for each other", 1
)


def main(argv: list[str]) -> None:
  """Runs the mode; the logic is in modules that can be imported."""
  del argv
  config = cli.config(_CONFIG)
  name = cli.run_name(config_flags.get_config_filename(flags.FLAGS["config"]))
  workdir = _WORKDIR.value or os.path.join("runs", name)
  place = multihost.place(
    _COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value
  )
  mode = _MODE.value
  work = cross_domain.mode(_ON.value, mode) if _ON.value else MODES[mode]
  if _CLIPS_ONLY.value:
    if mode != "cache":
      raise errors.UserError(
        f"--mode={mode} writes no clips; give --mode=cache"
      )
    config.cache.clips_only = True
  if _PROFILE.value:
    if mode != "train":
      raise errors.UserError(f"--mode={mode} traces no steps; drop --profile")
    wanted = profiling.Wanted.parse(_PROFILE.value)
    work = functools.partial(work, profile=wanted)
  try:
    if place is not None or _MULTIHOST.value:
      multihost.connect(place, _CONNECT_SECONDS.value)
    stopping.advise(functools.partial(_advice, mode, workdir), mode in _RESUMED)
    print(f"{jax.device_count()} devices ({jax.devices()[0].device_kind})")
    if kept := compilation.keep(config.get("compilation_cache", "auto")):
      print(f"compiled programs are kept in {kept}")
    work(config, workdir)
  except errors.Stopped as e:
    e.saved = mode in _RESUMED
    again = "goes on" if e.saved else "starts anew"
    e.args = (f"{e}; the same command {again} ({workdir})",)
    raise


def _advice(mode: str, workdir: str) -> str:
  """How to go on when another process is gone."""
  again = f"start all of them again with the same command ({workdir})"
  if mode != "train":
    return again
  step = checkpoint.newest_step(workdir)
  found = "there is no checkpoint yet" if step is None else f"step {step}"
  return f"the newest checkpoint: {found}; {again}"


if __name__ == "__main__":
  cli.run(main)
