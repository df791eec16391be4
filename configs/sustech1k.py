"""GaitKD on SUSTech1K: GaitBase taught by DeepGaitV2-P3D.

python -m gaitkd_jax.main --config=configs/sustech1k.py \
  --workdir=runs/sustech1k --config.data.root=<SUSTech1K> \
  --config.teachers.deepgaitv2.checkpoint=runs/deepgaitv2_sustech1k

`deepgaitv2_sustech1k.py` trains the teacher; or it is OpenGait's, converted:

python scripts/convert_opengait.py --input=DeepGaitV2-50000.pt \
  --config=configs/deepgaitv2_sustech1k.py --output=runs/deepgaitv2_sustech1k

Recipe: GaitKD's objective with its published weights (decision 1, boundary
0.003, temperature 4), in OpenGait's schedule for DeepGaitV2 on SUSTech1K;
GaitKD's own is published for Gait3D only. Differences: bfloat16 takes the place
of float16. Hardware: one or more GPUs or a TPU. Time: not measured.

To expect: of one DeepGaitV2 as teacher no figure is known; the best of GaitKD's
paper, with several teachers, is Rank-1 78.6 as others quote it. Not measured
here. `:baseline` is the student alone. `:smoke` runs three steps on any few
subjects.
"""

from gaitkd_jax import config as config_lib


def get_config(variant: str = ""):
  """Returns the config; variants: smoke, baseline."""
  c = config_lib.default()
  c.dtype = "bfloat16"
  c.model = config_lib.gaitbase()
  c.teachers.deepgaitv2 = config_lib.teacher(config_lib.deepgaitv2())
  config_lib.benchmark(c, "sustech1k")
  c.clip = config_lib.clip("fixed_ordered", frames=10, skip=4)
  c.augment = config_lib.da_augment()
  c.batch.identities, c.batch.sequences = 8, 8
  c.optim.schedule = config_lib.multistep(20_000, 30_000, 40_000)
  c.train.steps = 50_000
  return config_lib.with_variant(
    c, variant, baseline=config_lib.without_teachers
  )
