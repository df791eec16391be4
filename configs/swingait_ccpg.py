"""SwinGait on CCPG.

python -m gaitkd_jax.main --config=configs/swingait_ccpg.py \
  --workdir=runs/swingait_ccpg --config.data.root=<CCPG>

Recipe: OpenGait's SwinGait (blocks 1, 1, 2, 2) for CCPG. Differences: bfloat16
takes the place of float16; all weights start at random, where OpenGait takes
those of a trained DeepGaitV2 for the first stages and the heads, which
therefore learn at a tenth of the transformer's rate. Hardware: one or more GPUs
or a TPU. Time: not measured.

`--config.train.init_from=<workdir>` of a DeepGaitV2 starts as OpenGait does.

To expect: OpenGait's documentation has no figure of SwinGait on CCPG; not
measured here. `:smoke` runs three steps on any few subjects.
"""

from gaitkd_jax import config as config_lib


def get_config(variant: str = ""):
  """Returns the config; variants: smoke."""
  c = config_lib.default()
  c.dtype = "bfloat16"
  c.model = config_lib.swingait(blocks=(1, 1, 2, 2))
  config_lib.benchmark(c, "ccpg")
  c.clip = config_lib.clip("fixed_ordered", frames=30, skip=4)
  c.augment = config_lib.da_augment()
  c.batch.identities, c.batch.sequences = 8, 16
  config_lib.swingait_optim(c, steps=60_000)
  c.train.steps = 80_000
  return config_lib.with_variant(c, variant)
