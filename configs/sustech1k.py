r"""GaitKD on SUSTech1K: GaitBase taught by DeepGaitV2-P3D.

python -m gaitkd_jax.main --config=configs/sustech1k.py \
  --workdir=runs/sustech1k --config.data.root=<SUSTech1K> \
  --config.teachers.deepgaitv2.checkpoint=runs/deepgaitv2_sustech1k

`configs/deepgaitv2.py:sustech1k` trains the teacher; or it is OpenGait's,
converted:

python scripts/convert_opengait.py --input=DeepGaitV2-50000.pt \
  --config=configs/deepgaitv2.py:sustech1k --output=runs/deepgaitv2_sustech1k

Recipe: GaitKD's objective with its published weights (decision 1, boundary
0.003, temperature 4), in OpenGait's schedule for DeepGaitV2 on SUSTech1K;
GaitKD's own is published for Gait3D only. Differences: bfloat16 takes the place
of float16. Hardware: one or more GPUs or a TPU. Time: not measured. To expect:
of one DeepGaitV2 as teacher no figure is known; the best of GaitKD's paper,
with several teachers, is Rank-1 78.6 as others quote it.
"""

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib

VARIANTS = {
  "": config_lib.Variant(lambda: config_lib.gaitkd("sustech1k")),
  "baseline": config_lib.Variant(
    lambda: config_lib.without_teachers(config_lib.gaitkd("sustech1k")),
    about="The student alone.",
  ),
}


def get_config(variant: str = "") -> ConfigDict:
  """Returns the config of a variant."""
  return config_lib.select(__doc__, VARIANTS, variant)
