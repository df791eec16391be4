r"""GaitKD on Gait3D: GaitBase taught by DeepGaitV2-P3D.

python -m gaitkd_jax.main --config=configs/gait3d.py --workdir=runs/gait3d \
  --config.data.root=<Gait3D> \
  --config.teachers.deepgaitv2.checkpoint=runs/deepgaitv2_gait3d

`configs/deepgaitv2.py:gait3d` trains the teacher; or it is OpenGait's,
converted:

python scripts/convert_opengait.py --input=DeepGaitV2-60000.pt \
  --config=configs/deepgaitv2.py:gait3d --output=runs/deepgaitv2_gait3d

Recipe: GaitKD's for Gait3D (decision 1, boundary 0.003, temperature 4).
Differences: bfloat16 takes the place of float16. Hardware: one or more GPUs or
a TPU. Time: not measured. To expect: the list below; OpenGait's own recipe for
the student is `configs/gaitbase.py:gait3d`.
"""

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib

VARIANTS = {
  "": config_lib.Variant(
    lambda: config_lib.gaitkd("gait3d"),
    expected="Rank-1 63.3",
    source=config_lib.GAITKD,
  ),
  "baseline": config_lib.Variant(
    lambda: config_lib.without_teachers(config_lib.gaitkd("gait3d")),
    expected="Rank-1 61.5",
    source=config_lib.GAITKD,
    about="The student alone.",
  ),
  "swingait": config_lib.Variant(
    lambda: config_lib.gaitkd("gait3d", second=config_lib.swingait()),
    expected="Rank-1 65.8",
    source=config_lib.GAITKD,
    about="SwinGait as second teacher, as in the paper: the first 15 of the "
    "student's 16 parts learn from its 15. It needs "
    "--config.teachers.swingait.checkpoint.",
  ),
  "skeletongaitpp": config_lib.Variant(
    lambda: config_lib.gaitkd("gait3d", second=config_lib.skeletongaitpp()),
    about="SkeletonGait++ as second teacher, as in GaitKD's own config. It "
    "needs heat maps and --config.teachers.skeletongaitpp.checkpoint.",
  ),
}


def get_config(variant: str = "") -> ConfigDict:
  """Returns the config of a variant."""
  return config_lib.select(__doc__, VARIANTS, variant)
