"""GaitBase on CCPG.

python -m gaitkd_jax.main --config=configs/gaitbase_ccpg.py \
  --workdir=runs/gaitbase_ccpg --config.data.root=<CCPG>

Recipe: OpenGait's GaitBase for CCPG. Differences: bfloat16 takes the place of
float16. Hardware: one or more GPUs or a TPU. Time: not measured.

To expect: OpenGait's documentation has no figure of GaitBase on CCPG; not
measured here. `:smoke` runs three steps on any few subjects.
"""

from gaitkd_jax import config as config_lib


def get_config(variant: str = ""):
  """Returns the config; variants: smoke."""
  c = config_lib.default()
  c.dtype = "bfloat16"
  c.model = config_lib.gaitbase()
  config_lib.benchmark(c, "ccpg")
  c.clip = config_lib.clip("fixed_unordered", frames=30, skip=0)
  c.batch.identities, c.batch.sequences = 8, 16
  c.optim.schedule = config_lib.multistep(20_000, 40_000, 50_000)
  c.train.steps = 60_000
  return config_lib.with_variant(c, variant)
