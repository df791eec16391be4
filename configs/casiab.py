r"""GaitKD on CASIA-B: GaitBase taught by DeepGaitV2-P3D.

python -m gaitkd_jax.main --config=configs/casiab.py --workdir=runs/casiab \
  --config.data.root=<CASIA-B> \
  --config.teachers.deepgaitv2.checkpoint=runs/deepgaitv2_casiab

`configs/deepgaitv2.py:casiab` trains the teacher.

Recipe: GaitKD's objective with its published weights (decision 1, boundary
0.003, temperature 4) and ordered clips, in OpenGait's schedule for DeepGaitV2
on CASIA-B. Hardware: one or more GPUs or a TPU; float32, or
`--config.dtype=bfloat16`. Time: not measured. To expect: GaitKD reports no
figure on CASIA-B; the student alone is `configs/gaitbase.py:casiab`.
"""

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib

VARIANTS = {"": config_lib.Variant(lambda: config_lib.gaitkd("casiab"))}


def get_config(variant: str = "") -> ConfigDict:
  """Returns the config of a variant."""
  return config_lib.select(__doc__, VARIANTS, variant)
