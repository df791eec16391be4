r"""FoundationGait fine-tuned on a benchmark, by OpenGait's recipes.

python scripts/convert_opengait.py --input=<pre-trained>.pt \
  --config=configs/foundationgait.py:pretrained --output=runs/foundationgait
python -m gaitkd_jax.main --config=configs/foundationgait.py:gait3d \
  --workdir=runs/foundationgait_gait3d --config.data.root=<Gait3D> \
  --config.train.init_from=runs/foundationgait

Fine-tuning starts from what OpenGait's self-supervised stage left, which is not
trained here. The stem and stages 1 and 2 stay as they are, stages 3 and 4 learn
at 0.01 and 0.05 of the heads' rate, the projector at 0.1
(`optim.groups=fine_tuning`). Without `train.init_from` all weights start at
random, and the frozen ones stay so.

Differences: OpenGait shows the network clips in strips as well (crop_list),
here all are whole; bfloat16 takes the place of float16. Hardware: GPUs or a
TPU; batches are of 512 clips (256 of the large network). Time: not measured. To
expect: the list below.
"""

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib

_LARGE = (1, 4, 32, 16)


def _recipe(data: str, **model: object) -> ConfigDict:
  c = config_lib.supervised(
    data,
    config_lib.foundationgait(**model),
    config_lib.clip("fixed_ordered", frames=30, skip=4),
    config_lib.da_augment(),
  )
  c.optim.groups = "fine_tuning"
  c.optim.weight_decay = 0.0
  return c


def _gait3d() -> ConfigDict:
  c = _recipe("gait3d")
  c.batch.identities, c.batch.sequences = 128, 4
  c.optim.schedule = config_lib.multistep(3000)
  c.train.steps, c.train.checkpoint_every = 4000, 1000
  return c


def _ccpg() -> ConfigDict:
  c = _recipe("ccpg")
  c.batch.identities, c.batch.sequences = 16, 32
  c.optim.schedule = config_lib.multistep(2000)
  c.train.steps, c.train.checkpoint_every = 3000, 1000
  return c


def _ccpg_large() -> ConfigDict:
  c = _recipe("ccpg", blocks=_LARGE)
  c.batch.identities, c.batch.sequences = 8, 32
  c.optim.weight_decay = 5e-4
  c.optim.schedule = config_lib.multistep(2000, 3000)
  c.train.steps, c.train.checkpoint_every = 5000, 1000
  return c


def _pretrained(blocks: tuple[int, ...] = (1, 4, 8, 4)) -> ConfigDict:
  c = _gait3d()
  c.model.update(blocks=blocks, embedding_dim=0, num_classes=0)
  return c


VARIANTS = {
  "gait3d": config_lib.Variant(
    _gait3d, about="The network with 0.03 billion parameters."
  ),
  "ccpg": config_lib.Variant(
    _ccpg, about="The network with 0.03 billion parameters."
  ),
  "ccpg_large": config_lib.Variant(
    _ccpg_large, about="The network with 0.13 billion parameters."
  ),
  "pretrained": config_lib.Variant(
    _pretrained,
    about="As the self-supervised stage leaves the network with 0.03 billion "
    "parameters: to convert, and for --mode=eval without fine-tuning.",
  ),
  "pretrained_large": config_lib.Variant(
    lambda: _pretrained(_LARGE),
    expected="Rank-1 48.0 on Gait3D without fine-tuning",
    source=config_lib.FOUNDATIONGAIT,
    about="The same with 0.13 billion parameters.",
  ),
}


def get_config(variant: str = "") -> ConfigDict:
  """Returns the config of a variant."""
  return config_lib.select(__doc__, VARIANTS, variant)
