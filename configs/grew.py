r"""GaitKD on GREW: GaitBase taught by DeepGaitV2-P3D.

python -m gaitkd_jax.main --config=configs/grew.py --workdir=runs/grew \
  --config.data.root=<GREW> \
  --config.teachers.deepgaitv2.checkpoint=runs/deepgaitv2_grew

`configs/deepgaitv2.py:grew` trains the teacher; or it is OpenGait's, converted:

python scripts/convert_opengait.py --input=DeepGaitV2-180000.pt \
  --config=configs/deepgaitv2.py:grew --output=runs/deepgaitv2_grew

Recipe: GaitKD's objective with its published weights (decision 1, boundary
0.003, temperature 4), in OpenGait's schedule for DeepGaitV2 on GREW; GaitKD's
own is published for Gait3D only. Differences: bfloat16 takes the place of
float16. 20,000 subjects train: several devices share their classes
(config.sharding.classifier). Hardware: several GPUs or a TPU. Time: not
measured. To expect: not measured, and no figure of the paper is known; OpenGait
has Rank-1 60.1 of the student alone, by its own recipe
(`configs/gaitbase.py:grew`), on GREW's own test.
"""

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib

VARIANTS = {
  "": config_lib.Variant(lambda: config_lib.gaitkd("grew")),
  "baseline": config_lib.Variant(
    lambda: config_lib.without_teachers(config_lib.gaitkd("grew")),
    about="The student alone.",
  ),
}


def get_config(variant: str = "") -> ConfigDict:
  """Returns the config of a variant."""
  return config_lib.select(__doc__, VARIANTS, variant)
