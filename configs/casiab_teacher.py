"""DeepGaitV2-P3D on CASIA-B, the teacher of `casiab.py`.

python -m gaitkd_jax.main --config=configs/casiab_teacher.py \
  --workdir=runs/casiab_teacher --config.data.root=<CASIA-B>

Recipe: OpenGait's DeepGaitV2 (P3D, blocks 1, 1, 1, 1) for CASIA-B. Hardware:
one or more GPUs or a TPU. Time: not measured. To expect: OpenGait's
documentation has no figure of DeepGaitV2 on CASIA-B; not measured here.
`:smoke` runs three steps on any few subjects.
"""

from gaitkd_jax import config as config_lib


def get_config(variant: str = ""):
  """Returns the config; variants: smoke."""
  c = config_lib.default()
  c.data = config_lib.data("casiab")
  c.model = config_lib.deepgaitv2()
  c.clip.kind, c.clip.frames, c.clip.skip = "fixed_ordered", 30, 4
  c.augment.perspective, c.augment.flip, c.augment.rotate = 0.2, 0.2, 0.2
  c.batch.identities, c.batch.sequences = 8, 16
  c.optim.schedule = config_lib.multistep(20_000, 40_000, 50_000)
  c.train.steps = 60_000
  return config_lib.with_variant(c, variant)
