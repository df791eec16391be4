r"""QGait: networks in 8 and 4 bits, in two stages, from a float checkpoint.

python -m gaitkd_jax.main --config=configs/walkers_baseline.py \
  --workdir=runs/walkers_baseline
python -m gaitkd_jax.main --config=configs/qgait.py:walkers_w4a4 \
  --workdir=runs/qgait_walkers_w4a4

The first command trains the float network, the second one quantises it: two
thirds of the steps straight-through, the last third with soft rounding. One
checkpoint holds weights, bits and steps. On a benchmark, GaitBase:

python -m gaitkd_jax.main --config=configs/gaitbase.py:gait3d \
  --workdir=runs/gaitbase_gait3d --config.data.root=<Gait3D>
python -m gaitkd_jax.main --config=configs/qgait.py:gait3d_w4a4 \
  --workdir=runs/qgait_gait3d_w4a4 --config.data.root=<Gait3D> \
  --config.train.init_from=runs/gaitbase_gait3d

W4A4 straight-through, --config.quantization.rounding=ste, is better on walkers:
Rank-1 +0.98 ± 1.11, +0.81 ± 0.60 for a network of four times the width
(docs/study_quantisation_notes.md).

Recipe: after QGait (arXiv 2405.13859); its formulas and schedules are not
public, docs/quantisation.md says what is ours. Hardware: two CPU cores, some
three minutes, for walkers; else several GPUs or a TPU, time not measured. To
expect: below; a listing of the paper has Rank-1 66.5 (Gait3D), 60.6 (GREW) and
90.35 (OUMVLP) and names neither bits nor network.
"""

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib

_BITS = ("w4a4", "w4a8", "w8a8")
VARIANTS = {
  "walkers_w4a4": config_lib.Variant(
    lambda: config_lib.walkers_qgait("w4a4"),
    expected="Rank-1 63.32 / 55.37 / 32.16 (NM / BG / CL)",
    source="docs/study_quantisation_notes.md, on CPU, seed 0",
  ),
  "walkers_w4a8": config_lib.Variant(lambda: config_lib.walkers_qgait("w4a8")),
  "walkers_w8a8": config_lib.Variant(lambda: config_lib.walkers_qgait("w8a8")),
} | {
  f"{data}_{bits}": config_lib.Variant(
    lambda data=data, bits=bits: config_lib.qgait(data, bits)
  )
  for data in ("casiab", "gait3d", "grew", "oumvlp")
  for bits in _BITS
}


def get_config(variant: str = "") -> ConfigDict:
  """Returns the config of a variant."""
  return config_lib.select(__doc__, VARIANTS, variant)
