"""SkeletonGait on CCPG.

python -m gaitkd_jax.main --config=configs/skeletongait_ccpg.py \
  --workdir=runs/skeletongait_ccpg --config.data.root=<CCPG>

Recipe: OpenGait's SkeletonGait (DeepGaitV2-P3D on heat maps alone, blocks 1, 1,
1, 1) for CCPG, searched by the neck's features. Differences: bfloat16 takes the
place of float16. The root needs heat maps beside the silhouettes. Hardware: one
or more GPUs or a TPU. Time: not measured.

To expect: Rank-1 52.4 / 65.4 / 72.8 / 80.9 (CL / UP / DN / BG, without
identical views) in OpenGait's documentation; not measured here. `:smoke` runs
three steps on any few subjects.
"""

from gaitkd_jax import config as config_lib


def get_config(variant: str = ""):
  """Returns the config; variants: smoke."""
  c = config_lib.default()
  c.dtype = "bfloat16"
  c.model = config_lib.deepgaitv2(in_channels=2, retrieval="neck")
  config_lib.benchmark(c, "ccpg")
  c.clip = config_lib.clip("fixed_ordered", frames=30, skip=4)
  c.augment = config_lib.da_augment()
  c.batch.identities, c.batch.sequences = 8, 16
  c.optim.schedule = config_lib.multistep(20_000, 30_000, 40_000)
  c.train.steps = 60_000
  return config_lib.with_variant(c, variant)
