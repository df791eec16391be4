"""SkeletonGait on GREW.

python -m gaitkd_jax.main --config=configs/skeletongait_grew.py \
  --workdir=runs/skeletongait_grew --config.data.root=<GREW>

Recipe: OpenGait's SkeletonGait (DeepGaitV2-P3D on heat maps alone, blocks 1, 4,
4, 1) for GREW. Differences: bfloat16 takes the place of float16. The root needs
heat maps beside the silhouettes. Hardware: one or more GPUs or a TPU. Time: not
measured.

To expect: Rank-1 77.4 in OpenGait's documentation; not measured here. The
figure is of GREW's own test, whose labels are not public; here the labelled
test subjects are searched, which is easier. `:smoke` runs three steps on any
few subjects.
"""

from gaitkd_jax import config as config_lib


def get_config(variant: str = ""):
  """Returns the config; variants: smoke."""
  c = config_lib.default()
  c.dtype = "bfloat16"
  c.model = config_lib.deepgaitv2(in_channels=2, blocks=(1, 4, 4, 1))
  config_lib.benchmark(c, "grew")
  c.clip = config_lib.clip("fixed_ordered", frames=30, skip=4)
  c.augment = config_lib.da_augment()
  c.batch.identities, c.batch.sequences = 32, 4
  c.optim.schedule = config_lib.multistep(80_000, 120_000, 150_000)
  c.train.steps = 180_000
  return config_lib.with_variant(c, variant)
