"""The student of `walkers.py` without a teacher.

python -m gaitkd_jax.main --config=configs/walkers_baseline.py \
  --workdir=runs/walkers_baseline

Needs nothing: `walkers` is generated on this machine. Hardware: two CPU cores,
some two minutes. To expect: see README.md, which has the figures of
`scripts/compare.py`. `:smoke` runs three steps in seconds.
"""

from gaitkd_jax import config as config_lib


def get_config(variant: str = ""):
  """Returns the config; variants: smoke."""
  c = config_lib.default()
  c.data = config_lib.data("walkers", variant="small")
  # The full-resolution stage is left out: it is most of the time on a CPU.
  c.model = config_lib.gaitbase(
    channels=(8, 16, 24, 32),
    blocks=(0, 1, 1, 1),
    embedding_dim=32,
    num_classes=32,
  )
  c.clip.frames, c.clip.skip = 10, 4
  c.augment.flip, c.augment.erase = 0.2, 0.2
  c.batch.identities, c.batch.sequences = 8, 4
  c.train.steps = 200
  c.optim.name, c.optim.weight_decay = "adamw", 1e-4
  c.optim.learning_rate = 3e-3
  c.optim.schedule = config_lib.onecycle(c)
  c.train.log_every, c.train.checkpoint_every = 20, 100
  return config_lib.with_variant(c, variant)
