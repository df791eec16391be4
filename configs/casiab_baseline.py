"""GaitBase on CASIA-B without a teacher.

python -m gaitkd_jax.main --config=configs/casiab_baseline.py \
  --workdir=runs/casiab_baseline --config.data.root=<CASIA-B>

Recipe: OpenGait's GaitBase for CASIA-B. Hardware: one or more GPUs or a TPU.
Time: not measured. To expect: Rank-1 97.6 / 94.0 / 77.4 (NM / BG / CL) in
OpenGait's documentation; not measured here. `:smoke` runs three steps on any
few subjects.
"""

from gaitkd_jax import config as config_lib


def get_config(variant: str = ""):
  """Returns the config; variants: smoke."""
  c = config_lib.default()
  c.data = config_lib.data("casiab")
  c.model = config_lib.gaitbase()
  c.clip.kind, c.clip.frames, c.clip.skip = "fixed_unordered", 30, 0
  c.augment.rotate, c.augment.erase = 0.3, 0.3
  c.batch.identities, c.batch.sequences = 8, 16
  c.optim.schedule = config_lib.multistep(20_000, 40_000, 50_000)
  c.train.steps = 60_000
  return config_lib.with_variant(c, variant)
