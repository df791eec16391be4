"""The second teacher on the embedded data: a small SkeletonGait++.

python -m gaitkd_jax.main --config=configs/walkers_teacher_maps.py \
  --workdir=runs/walkers_teacher_maps

It sees heat maps of the joints beside the silhouettes, as in GaitKD's own
config with two teachers; both are generated on this machine. Hardware: two CPU
cores. To expect: see README.md. What it learned lies in
shipped_teachers/walkers_maps (`scripts/keep_model.py` put it there). `:smoke`
runs three steps in seconds.
"""

from gaitkd_jax import config as config_lib


def get_config(variant: str = ""):
  """Returns the config; variants: smoke."""
  c = config_lib.default()
  c.data = config_lib.data(
    "walkers", variant="small", modalities=config_lib.MODALITIES
  )
  c.model = config_lib.skeletongaitpp(
    base_channels=8, blocks=(0, 1, 1, 1), num_classes=32
  )
  c.clip.frames, c.clip.skip = 10, 4
  c.augment.flip, c.augment.erase = 0.2, 0.2
  c.batch.identities, c.batch.sequences = 8, 4
  c.train.steps = 600
  c.optim.name, c.optim.weight_decay = "adamw", 1e-4
  c.optim.learning_rate = 3e-3
  c.optim.schedule = config_lib.onecycle(c)
  c.train.log_every, c.train.checkpoint_every = 20, 100
  return config_lib.with_variant(c, variant)
