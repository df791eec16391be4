"""GaitKD on CCPG: GaitBase taught by DeepGaitV2-P3D.

python -m gaitkd_jax.main --config=configs/ccpg.py --workdir=runs/ccpg \
  --config.data.root=<CCPG> \
  --config.teachers.deepgaitv2.checkpoint=runs/deepgaitv2_ccpg

`deepgaitv2_ccpg.py` trains the teacher; or it is OpenGait's, converted:

python scripts/convert_opengait.py --input=DeepGaitV2-60000.pt \
  --config=configs/deepgaitv2_ccpg.py --output=runs/deepgaitv2_ccpg

Recipe: GaitKD's objective with its published weights (decision 1, boundary
0.003, temperature 4), in OpenGait's schedule for DeepGaitV2 on CCPG; GaitKD's
own is published for Gait3D only. Differences: bfloat16 takes the place of
float16. Hardware: one or more GPUs or a TPU. Time: not measured.

To expect: a mean Rank-1 of 91.9, and 88.2 without a teacher, of GaitKD's paper
as others quote it. Not measured here. `:baseline` is the student alone.
`:smoke` runs three steps on any few subjects.
"""

from gaitkd_jax import config as config_lib


def get_config(variant: str = ""):
  """Returns the config; variants: smoke, baseline."""
  c = config_lib.default()
  c.dtype = "bfloat16"
  c.model = config_lib.gaitbase()
  c.teachers.deepgaitv2 = config_lib.teacher(config_lib.deepgaitv2())
  config_lib.benchmark(c, "ccpg")
  c.clip = config_lib.clip("fixed_ordered", frames=30, skip=4)
  c.augment = config_lib.da_augment()
  c.batch.identities, c.batch.sequences = 8, 16
  c.optim.schedule = config_lib.multistep(20_000, 40_000, 50_000)
  c.train.steps = 60_000
  return config_lib.with_variant(
    c, variant, baseline=config_lib.without_teachers
  )
