"""The teacher of the embedded data: a narrow DeepGaitV2-P3D on `walkers`.

python -m gaitkd_jax.main --config=configs/walkers_teacher.py \
  --workdir=runs/walkers_teacher

The result, its optimiser left out, is shipped in shipped_teachers/walkers.
Hardware: two CPU cores, some 30 minutes. To expect: see README.md. `:smoke`
runs three steps in seconds.
"""

from gaitkd_jax import config as config_lib


def get_config(variant: str = ""):
  """Returns the config; variants: smoke."""
  c = config_lib.default()
  c.data = config_lib.data("walkers", variant="small")
  c.model = config_lib.deepgaitv2(
    channels=(8, 16, 32, 64), blocks=(0, 1, 1, 1), num_classes=32
  )
  c.clip.frames, c.clip.skip = 10, 4
  c.augment.flip, c.augment.erase = 0.2, 0.2
  c.batch.identities, c.batch.sequences = 8, 6
  c.train.steps = 1000
  c.optim.name, c.optim.weight_decay = "adamw", 1e-4
  c.optim.learning_rate = 3e-3
  c.optim.schedule = config_lib.onecycle(c)
  c.train.log_every, c.train.checkpoint_every = 50, 500
  return config_lib.with_variant(c, variant)
