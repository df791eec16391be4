"""SkeletonGait++ on SUSTech1K.

python -m gaitkd_jax.main --config=configs/skeletongaitpp_sustech1k.py \
  --workdir=runs/skeletongaitpp_sustech1k --config.data.root=<SUSTech1K>

Recipe: OpenGait's SkeletonGait++ (blocks 1, 1, 1, 1) for SUSTech1K.
Differences: bfloat16 takes the place of float16. The root needs heat maps
beside the silhouettes. Hardware: one or more GPUs or a TPU. Time: not measured.

To expect: Rank-1 85.6 and Rank-5 95.0 of all conditions together in OpenGait's
documentation; not measured here. `:smoke` runs three steps on any few subjects.
"""

from gaitkd_jax import config as config_lib


def get_config(variant: str = ""):
  """Returns the config; variants: smoke."""
  c = config_lib.default()
  c.dtype = "bfloat16"
  c.model = config_lib.skeletongaitpp(blocks=(1, 1, 1, 1))
  config_lib.benchmark(c, "sustech1k")
  c.clip = config_lib.clip("fixed_ordered", frames=10, skip=4)
  c.augment = config_lib.da_augment()
  c.batch.identities, c.batch.sequences = 8, 8
  c.optim.schedule = config_lib.multistep(20_000, 30_000, 40_000)
  c.train.steps = 50_000
  return config_lib.with_variant(c, variant)
