"""GaitBase on OUMVLP.

python -m gaitkd_jax.main --config=configs/gaitbase_oumvlp.py \
  --workdir=runs/gaitbase_oumvlp --config.data.root=<OUMVLP>

Recipe: OpenGait's GaitBase for OUMVLP. Differences: bfloat16 takes the place of
float16. Hardware: one or more GPUs or a TPU. Time: not measured.

To expect: Rank-1 90.8 in OpenGait's documentation; not measured here. `:smoke`
runs three steps on any few subjects.
"""

from gaitkd_jax import config as config_lib


def get_config(variant: str = ""):
  """Returns the config; variants: smoke."""
  c = config_lib.default()
  c.dtype = "bfloat16"
  c.model = config_lib.gaitbase()
  config_lib.benchmark(c, "oumvlp")
  c.clip = config_lib.clip("fixed_unordered", frames=30, skip=0)
  c.batch.identities, c.batch.sequences = 32, 8
  c.optim.schedule = config_lib.multistep(60_000, 80_000, 100_000)
  c.train.steps = 120_000
  return config_lib.with_variant(c, variant)
