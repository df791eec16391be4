r"""GaitBase alone, by OpenGait's recipes.

python -m gaitkd_jax.main --config=configs/gaitbase.py:gait3d \
  --workdir=runs/gaitbase_gait3d --config.data.root=<Gait3D>

Differences: but for CASIA-B, bfloat16 takes the place of float16. On Gait3D and
GREW every clip is augmented by a draw of its own, where OpenGait's clips of one
device share one. OpenGait's frames of HID have 128 x 88 pixels and are halved
three times; frames here have 64 x 44 and are halved twice, which leaves the
same last map of 16 x 11. OpenGait's weights for HID need OpenGait's frames.
Hardware: one or more GPUs or a TPU. Time: not measured. To
expect: the list below.
"""

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib


def _recipe(
  data: str, frames: tuple[int, ...] = (30,), augment: ConfigDict | None = None
) -> ConfigDict:
  """Clips have so many frames in any order, or two bounds of their number."""
  if len(frames) == 1:
    clip = config_lib.clip("fixed_unordered", frames=frames[0], skip=0)
  else:
    clip = config_lib.clip(
      "unfixed_unordered", min_frames=frames[0], max_frames=frames[1], skip=0
    )
  return config_lib.supervised(data, config_lib.gaitbase(), clip, augment)


def _hid() -> ConfigDict:
  c = config_lib.supervised(
    "hid",
    config_lib.gaitbase_plain(channels=(64, 128, 256, 512)),
    config_lib.clip("fixed_unordered", frames=30, skip=0),
  )
  c.eval.protocol, c.eval.rerank = "hid_submission", False
  c.losses.cross_entropy.weight = 0.1
  return c


VARIANTS = {
  "casiab": config_lib.Variant(
    lambda: _recipe(
      "casiab", augment=config_lib.augment(rotate=0.3, erase=0.3)
    ),
    expected="Rank-1 97.6 / 94.0 / 77.4 (NM / BG / CL)",
    source=config_lib.OPENGAIT,
  ),
  "oumvlp": config_lib.Variant(
    lambda: _recipe("oumvlp"),
    expected="Rank-1 90.8",
    source=config_lib.OPENGAIT,
  ),
  "grew": config_lib.Variant(
    lambda: _recipe("grew", (20, 40), config_lib.da_augment()),
    expected="Rank-1 60.1",
    source=config_lib.OPENGAIT_GREW,
  ),
  "gait3d": config_lib.Variant(
    lambda: _recipe("gait3d", (10, 50), config_lib.da_augment()),
    expected="Rank-1 64.6",
    source=config_lib.OPENGAIT,
  ),
  "ccpg": config_lib.Variant(lambda: _recipe("ccpg")),
  "hid": config_lib.Variant(
    _hid,
    expected="Rank-1 68.7, with eval.rerank=True 80.0",
    source=config_lib.OPENGAIT_HID,
    about="With the plain backbone; it writes what HID's server scores.",
  ),
}


def get_config(variant: str = "") -> ConfigDict:
  """Returns the config of a variant."""
  return config_lib.select(__doc__, VARIANTS, variant)
