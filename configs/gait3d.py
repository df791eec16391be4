"""GaitKD on Gait3D: GaitBase taught by DeepGaitV2-P3D.

python -m gaitkd_jax.main --config=configs/gait3d.py --workdir=runs/gait3d \
  --config.data.root=<Gait3D> \
  --config.teachers.deepgaitv2.checkpoint=runs/deepgaitv2_gait3d

`deepgaitv2_gait3d.py` trains the teacher; or it is OpenGait's, converted:

python scripts/convert_opengait.py --input=DeepGaitV2-60000.pt \
  --config=configs/deepgaitv2_gait3d.py --output=runs/deepgaitv2_gait3d

Recipe: GaitKD's for Gait3D (decision 1, boundary 0.003, temperature 4).
Differences: bfloat16 takes the place of float16. Hardware: one or more GPUs or
a TPU. Time: not measured.

To expect: Rank-1 63.3, and 61.5 without a teacher, of GaitKD's paper as others
quote it; OpenGait's documentation has 64.6 of GaitBase in its own recipe
(`gaitbase_gait3d.py`); 65.8 with a second teacher. Not measured here.

`:baseline` is the student alone. `:swingait` has SwinGait as second teacher, as
in the paper: the first 15 of the student's 16 parts learn from its 15. It needs
`--config.teachers.swingait.checkpoint`. `:skeletongaitpp` has SkeletonGait++,
as GaitKD's own config; it needs heat maps and
`--config.teachers.skeletongaitpp.checkpoint`, no figure is known. `:smoke` runs
three steps on any few subjects.
"""

from gaitkd_jax import config as config_lib


def get_config(variant: str = ""):
  """Returns the config; variants: smoke, baseline, and a second teacher's."""
  c = config_lib.default()
  c.dtype = "bfloat16"
  c.model = config_lib.gaitbase()
  c.teachers.deepgaitv2 = config_lib.teacher(
    config_lib.deepgaitv2(blocks=(1, 4, 4, 1))
  )
  config_lib.benchmark(c, "gait3d")
  c.clip = config_lib.clip("fixed_ordered", frames=30, skip=4)
  c.augment = config_lib.da_augment()
  c.batch.identities, c.batch.sequences = 32, 4
  c.optim.schedule = config_lib.multistep(20_000, 40_000, 50_000)
  c.train.steps = 60_000
  return config_lib.with_variant(
    c,
    variant,
    baseline=config_lib.without_teachers,
    skeletongaitpp=lambda c: _second_teacher(c, config_lib.skeletongaitpp()),
    swingait=lambda c: _second_teacher(c, config_lib.swingait()),
  )


def _second_teacher(c, model):
  c.teachers[model.name] = config_lib.teacher(model)
  config_lib.benchmark(c, "gait3d")
