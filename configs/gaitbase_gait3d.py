"""GaitBase on Gait3D.

python -m gaitkd_jax.main --config=configs/gaitbase_gait3d.py \
  --workdir=runs/gaitbase_gait3d --config.data.root=<Gait3D>

Recipe: OpenGait's GaitBase for Gait3D. Differences: bfloat16 takes the place of
float16; every clip is augmented by a draw of its own, where OpenGait's clips of
one device share one. Hardware: one or more GPUs or a TPU. Time: not measured.

To expect: Rank-1 64.6 in OpenGait's documentation; not measured here. `:smoke`
runs three steps on any few subjects.
"""

from gaitkd_jax import config as config_lib


def get_config(variant: str = ""):
  """Returns the config; variants: smoke."""
  c = config_lib.default()
  c.dtype = "bfloat16"
  c.model = config_lib.gaitbase()
  config_lib.benchmark(c, "gait3d")
  c.clip = config_lib.clip(
    "unfixed_unordered", min_frames=10, max_frames=50, skip=0
  )
  c.augment = config_lib.da_augment()
  c.batch.identities, c.batch.sequences = 32, 4
  c.optim.schedule = config_lib.multistep(20_000, 40_000, 50_000)
  c.train.steps = 60_000
  return config_lib.with_variant(c, variant)
