r"""GaitKD on CCPG: GaitBase taught by DeepGaitV2-P3D.

python -m gaitkd_jax.main --config=configs/ccpg.py --workdir=runs/ccpg \
  --config.data.root=<CCPG> \
  --config.teachers.deepgaitv2.checkpoint=runs/deepgaitv2_ccpg

`configs/deepgaitv2.py:ccpg` trains the teacher; or it is OpenGait's, converted:

python scripts/convert_opengait.py --input=DeepGaitV2-60000.pt \
  --config=configs/deepgaitv2.py:ccpg --output=runs/deepgaitv2_ccpg

Recipe: GaitKD's objective with its published weights (decision 1, boundary
0.003, temperature 4), in OpenGait's schedule for DeepGaitV2 on CCPG; GaitKD's
own is published for Gait3D only. Differences: bfloat16 takes the place of
float16. Hardware: one or more GPUs or a TPU. Time: not measured. To expect: the
list below.
"""

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib

VARIANTS = {
  "": config_lib.Variant(
    lambda: config_lib.gaitkd("ccpg"),
    expected="Rank-1 91.9, mean of CL, UP, DN and BG",
    source=config_lib.GAITKD,
  ),
  "baseline": config_lib.Variant(
    lambda: config_lib.without_teachers(config_lib.gaitkd("ccpg")),
    expected="Rank-1 88.2, mean of CL, UP, DN and BG",
    source=config_lib.GAITKD,
    about="The student alone.",
  ),
}


def get_config(variant: str = "") -> ConfigDict:
  """Returns the config of a variant."""
  return config_lib.select(__doc__, VARIANTS, variant)
