"""DeepGaitV2-P3D on Gait3D, the teacher of `gait3d.py`.

python -m gaitkd_jax.main --config=configs/deepgaitv2_gait3d.py \
  --workdir=runs/deepgaitv2_gait3d --config.data.root=<Gait3D>

Recipe: OpenGait's DeepGaitV2 (P3D, blocks 1, 4, 4, 1) for Gait3D. Differences:
bfloat16 takes the place of float16. Hardware: one or more GPUs or a TPU. Time:
not measured.

To expect: Rank-1 74.4 in OpenGait's documentation; not measured here. `:smoke`
runs three steps on any few subjects.
"""

from gaitkd_jax import config as config_lib


def get_config(variant: str = ""):
  """Returns the config; variants: smoke."""
  c = config_lib.default()
  c.dtype = "bfloat16"
  c.model = config_lib.deepgaitv2(blocks=(1, 4, 4, 1))
  config_lib.benchmark(c, "gait3d")
  c.clip = config_lib.clip("fixed_ordered", frames=30, skip=4)
  c.augment = config_lib.da_augment()
  c.batch.identities, c.batch.sequences = 32, 4
  c.optim.schedule = config_lib.multistep(20_000, 40_000, 50_000)
  c.train.steps = 60_000
  return config_lib.with_variant(c, variant)
