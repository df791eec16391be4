"""SwinGait on Gait3D.

python -m gaitkd_jax.main --config=configs/swingait_gait3d.py \
  --workdir=runs/swingait_gait3d --config.data.root=<Gait3D>

Recipe: OpenGait's SwinGait (blocks 1, 4, 4, 2) for Gait3D. Differences:
bfloat16 takes the place of float16; frames are 64 x 64 and cut to 44 columns,
where OpenGait's are stored 44 wide; all weights start at random, where OpenGait
takes those of a trained DeepGaitV2 for the first stages and the heads, which
therefore learn at a tenth of the transformer's rate. Hardware: one or more GPUs
or a TPU. Time: not measured.

`--config.train.init_from=<workdir>` of a DeepGaitV2 starts as OpenGait does.

To expect: Rank-1 75.0 in OpenGait's documentation; not measured here. `:smoke`
runs three steps on any few subjects.
"""

from gaitkd_jax import config as config_lib


def get_config(variant: str = ""):
  """Returns the config; variants: smoke."""
  c = config_lib.default()
  c.dtype = "bfloat16"
  c.model = config_lib.swingait()
  config_lib.benchmark(c, "gait3d")
  c.clip = config_lib.clip("fixed_ordered", frames=30, skip=4)
  c.augment = config_lib.da_augment()
  c.batch.identities, c.batch.sequences = 32, 4
  config_lib.swingait_optim(c, steps=60_000)
  c.train.steps = 80_000
  return config_lib.with_variant(c, variant)
