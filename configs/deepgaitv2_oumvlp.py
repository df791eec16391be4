"""DeepGaitV2-P3D on OUMVLP.

python -m gaitkd_jax.main --config=configs/deepgaitv2_oumvlp.py \
  --workdir=runs/deepgaitv2_oumvlp --config.data.root=<OUMVLP>

Recipe: OpenGait's DeepGaitV2 (P3D, blocks 1, 1, 1, 1) for OUMVLP. Differences:
bfloat16 takes the place of float16. Hardware: one or more GPUs or a TPU. Time:
not measured.

To expect: Rank-1 92.0 in OpenGait's documentation, with 3-D convolutions
(`--config.model.mode=3d`); not measured here. `:smoke` runs three steps on any
few subjects.
"""

from gaitkd_jax import config as config_lib


def get_config(variant: str = ""):
  """Returns the config; variants: smoke."""
  c = config_lib.default()
  c.dtype = "bfloat16"
  c.model = config_lib.deepgaitv2()
  config_lib.benchmark(c, "oumvlp")
  c.clip = config_lib.clip("fixed_ordered", frames=30, skip=4)
  c.augment = config_lib.da_augment()
  c.batch.identities, c.batch.sequences = 32, 8
  c.optim.schedule = config_lib.multistep(60_000, 80_000, 100_000)
  c.train.steps = 120_000
  return config_lib.with_variant(c, variant)
