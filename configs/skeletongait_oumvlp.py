"""SkeletonGait on OUMVLP.

python -m gaitkd_jax.main --config=configs/skeletongait_oumvlp.py \
  --workdir=runs/skeletongait_oumvlp --config.data.root=<OUMVLP>

Recipe: OpenGait's SkeletonGait (DeepGaitV2-P3D on heat maps alone, blocks 1, 1,
1, 1) for OUMVLP. Differences: bfloat16 takes the place of float16. The root
needs heat maps beside the silhouettes. Hardware: one or more GPUs or a TPU.
Time: not measured.

To expect: Rank-1 67.4 in OpenGait's documentation, on OUMVLP-Pose; not measured
here. `:smoke` runs three steps on any few subjects.
"""

from gaitkd_jax import config as config_lib


def get_config(variant: str = ""):
  """Returns the config; variants: smoke."""
  c = config_lib.default()
  c.dtype = "bfloat16"
  c.model = config_lib.deepgaitv2(in_channels=2)
  config_lib.benchmark(c, "oumvlp")
  c.clip = config_lib.clip("fixed_ordered", frames=30, skip=4)
  c.augment.flip = 0.5
  c.batch.identities, c.batch.sequences = 32, 8
  c.optim.schedule = config_lib.multistep(60_000, 80_000, 100_000)
  c.train.steps = 120_000
  return config_lib.with_variant(c, variant)
