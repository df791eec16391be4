"""DeepGaitV2-P3D on CCPG, the teacher of `ccpg.py`.

python -m gaitkd_jax.main --config=configs/deepgaitv2_ccpg.py \
  --workdir=runs/deepgaitv2_ccpg --config.data.root=<CCPG>

Recipe: OpenGait's DeepGaitV2 (P3D, blocks 1, 1, 1, 1) for CCPG. Differences:
bfloat16 takes the place of float16. Hardware: one or more GPUs or a TPU. Time:
not measured.

To expect: OpenGait's documentation has no figure of DeepGaitV2 on CCPG; not
measured here. `:smoke` runs three steps on any few subjects.
"""

from gaitkd_jax import config as config_lib


def get_config(variant: str = ""):
  """Returns the config; variants: smoke."""
  c = config_lib.default()
  c.dtype = "bfloat16"
  c.model = config_lib.deepgaitv2()
  config_lib.benchmark(c, "ccpg")
  c.clip = config_lib.clip("fixed_ordered", frames=30, skip=4)
  c.augment = config_lib.da_augment()
  c.batch.identities, c.batch.sequences = 8, 16
  c.optim.schedule = config_lib.multistep(20_000, 40_000, 50_000)
  c.train.steps = 60_000
  return config_lib.with_variant(c, variant)
