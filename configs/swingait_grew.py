"""SwinGait on GREW.

python -m gaitkd_jax.main --config=configs/swingait_grew.py \
  --workdir=runs/swingait_grew --config.data.root=<GREW>

Recipe: OpenGait's SwinGait (blocks 1, 4, 4, 2) for GREW. Differences: bfloat16
takes the place of float16; all weights start at random, where OpenGait takes
those of a trained DeepGaitV2 for the first stages and the heads, which
therefore learn at a tenth of the transformer's rate. Hardware: one or more GPUs
or a TPU. Time: not measured.

`--config.train.init_from=<workdir>` of a DeepGaitV2 starts as OpenGait does.

To expect: Rank-1 79.3 in OpenGait's documentation; not measured here. The
figure is of GREW's own test, whose labels are not public; here the labelled
test subjects are searched, which is easier. `:smoke` runs three steps on any
few subjects.
"""

from gaitkd_jax import config as config_lib


def get_config(variant: str = ""):
  """Returns the config; variants: smoke."""
  c = config_lib.default()
  c.dtype = "bfloat16"
  c.model = config_lib.swingait()
  config_lib.benchmark(c, "grew")
  c.clip = config_lib.clip("fixed_ordered", frames=30, skip=4)
  c.augment = config_lib.da_augment()
  c.batch.identities, c.batch.sequences = 32, 4
  config_lib.swingait_optim(c, steps=150_000)
  c.train.steps = 200_000
  return config_lib.with_variant(c, variant)
