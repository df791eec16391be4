"""GaitKD on CASIA-B: GaitBase taught by DeepGaitV2-P3D.

python -m gaitkd_jax.main --config=configs/casiab.py --workdir=runs/casiab \
  --config.data.root=<CASIA-B> \
  --config.teachers.deepgaitv2.checkpoint=runs/casiab_teacher

Recipe: GaitKD's objective with its published weights (decision 1, boundary
0.003, temperature 4) and ordered clips, in OpenGait's schedule for DeepGaitV2
on CASIA-B. Hardware: one or more GPUs or a TPU; float32, or
`--config.dtype=bfloat16`. Time: not measured.

To expect: GaitKD reports no figure on CASIA-B; not measured here. The student
alone (`casiab_baseline.py`) has Rank-1 97.6 / 94.0 / 77.4 (NM / BG / CL) in
OpenGait's documentation. `:smoke` runs three steps on any few subjects.
"""

from gaitkd_jax import config as config_lib


def get_config(variant: str = ""):
  """Returns the config; variants: smoke."""
  c = config_lib.default()
  c.data = config_lib.data("casiab")
  c.model = config_lib.gaitbase()
  c.teachers.deepgaitv2 = config_lib.teacher(config_lib.deepgaitv2())
  c.clip.kind, c.clip.frames, c.clip.skip = "fixed_ordered", 30, 4
  c.augment.perspective, c.augment.flip, c.augment.rotate = 0.2, 0.2, 0.2
  c.batch.identities, c.batch.sequences = 8, 16
  c.optim.schedule = config_lib.multistep(20_000, 40_000, 50_000)
  c.train.steps = 60_000
  return config_lib.with_variant(c, variant)
