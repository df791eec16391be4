"""SwinGait on SUSTech1K.

python -m gaitkd_jax.main --config=configs/swingait_sustech1k.py \
  --workdir=runs/swingait_sustech1k --config.data.root=<SUSTech1K>

Recipe: OpenGait's SwinGait (blocks 1, 1, 2, 2) for SUSTech1K. Differences:
bfloat16 takes the place of float16; all weights start at random, where OpenGait
takes those of a trained DeepGaitV2 for the first stages and the heads, which
therefore learn at a tenth of the transformer's rate. Hardware: one or more GPUs
or a TPU. Time: not measured.

`--config.train.init_from=<workdir>` of a DeepGaitV2 starts as OpenGait does.

To expect: Rank-1 79.7 and Rank-5 91.8 of all conditions together in OpenGait's
documentation; not measured here. `:smoke` runs three steps on any few subjects.
"""

from gaitkd_jax import config as config_lib


def get_config(variant: str = ""):
  """Returns the config; variants: smoke."""
  c = config_lib.default()
  c.dtype = "bfloat16"
  c.model = config_lib.swingait(blocks=(1, 1, 2, 2))
  config_lib.benchmark(c, "sustech1k")
  c.clip = config_lib.clip("fixed_ordered", frames=30, skip=4)
  c.augment = config_lib.da_augment()
  c.batch.identities, c.batch.sequences = 8, 8
  config_lib.swingait_optim(c, steps=50_000)
  c.train.steps = 60_000
  return config_lib.with_variant(c, variant)
