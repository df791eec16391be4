"""OpenGait's "Baseline" with its plain backbone: GaitBase without residuals."""

from collections.abc import Mapping
import functools
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from gaitkd_jax.models import checks
from gaitkd_jax.models import heads
from gaitkd_jax.models import inputs
from gaitkd_jax.models import leaky_stages
from gaitkd_jax.models import network
from gaitkd_jax.models import opengait_keys
from gaitkd_jax.models import pooling

_FEATURE = "Backbone.forward_block.feature"


class GaitBasePlain(network.GaitNetwork):
  """Plain convolutions on every frame, maximum over time, a strip pyramid.

  Every stage has two convolutions (the network's first has 5 x 5 pixels, the
  others 3 x 3), each with a leaky rectifier and none with a normalisation; the
  only one is the neck's. OpenGait's baseline before ResNet9, and still that of
  the HID competition. Feature maps: "stage1", "stage2", ... `[n, s, h, w, c]`
  and "set" `[n, h, w, c]`.

  Attributes:
    channels: widths of the stages, one or more.
    halvings: so many of the first stages end with a maximum that halves the
      image. 2 takes frames of 64 x 44 pixels. 3 (of HID's published weights)
      takes 128 x 88, which the data pipeline does not make.
    bins: strips of each level of the pyramid; their sum is the parts `p`.
    embedding_dim: width `d` of a part's embedding.
    num_classes: see `GaitNetwork`.
    retrieval: see `GaitNetwork`.
  """

  channels: tuple[int, ...] = (64, 128, 256)
  halvings: int = 2
  bins: tuple[int, ...] = (16, 8, 4, 2, 1)
  embedding_dim: int = 256
  num_classes: int = 0
  retrieval: str = "embedding"

  config_checks = {
    **network.GaitNetwork.config_checks,
    "bins": checks.some_of(1, 2, 4, 8, 16),
    "channels": checks.WIDTHS,
    "halvings": checks.one_of(0, 1, 2, 3),
  }

  def __post_init__(self) -> None:
    if self.halvings >= len(self.channels):
      raise ValueError(
        f"{len(self.channels)} stages have fewer than {self.halvings} halvings "
        "between them; give more channels or fewer halvings"
      )
    super().__post_init__()

  @property
  def frame_size(self) -> tuple[int, int]:
    """Twice as large where halvings leave fewer rows than there are strips."""
    h, w = network.FRAME_SIZE
    scale = max(1, self._unit // h)
    return scale * h, scale * w

  @property
  def temporal(self) -> bool:
    """Frames are a set."""
    return False

  @property
  def smoke_size(self) -> Mapping[str, Any]:
    """Narrow stages and embeddings."""
    widths = tuple(min(4 * 2**i, 16) for i in range(len(self.channels)))
    return {"channels": widths, "embedding_dim": 16}

  @property
  def opengait_rules(self) -> opengait_keys.Rules:
    """OpenGait's "Baseline" with the backbone "Plain"."""
    rules: list[opengait_keys.Rule] = []
    first = 0
    for i in range(len(self.channels)):
      rules += opengait_keys.leaky_stage(_FEATURE, f"stage{i + 1}", first)
      # Rectifiers are numbered, and halvings, too.
      first += 5 if i < self.halvings else 4
    return (*rules, *opengait_keys.HEAD)

  @nn.compact
  def encode(
    self, frames: inputs.Frames, *, train: bool
  ) -> dict[str, jax.Array]:
    """Computes the end points; see `GaitNetwork.encode`."""
    self._check_rows(frames.pixels.shape[2])
    x, clips = frames.merged, frames.clips
    stage = functools.partial(
      leaky_stages.stage, dtype=self.dtype, frames=clips.frames, train=train
    )
    out = {}
    for i, features in enumerate(self.channels):
      x = stage(
        x,
        features,
        name=f"stage{i + 1}",
        first_size=3 if i else 5,
        reads_frames=i == 0,
        pool=i < self.halvings,
      )
      out[f"stage{i + 1}"] = clips.split(x)
    x = out["set"] = pooling.temporal_max(clips.split(x), frames.valid)
    # Strips are averaged in float32: a bfloat16 mean loses the small ones.
    return out | heads.describe_parts(
      pooling.pyramid_pooling(x.astype(jnp.float32), self.bins),
      self.embedding_dim,
      self.num_classes,
      self.dtype,
      train,
      rectified=False,
    )

  @property
  def _unit(self) -> int:
    """What the height of frames has to be a multiple of."""
    return max(self.bins) * 2**self.halvings

  def _check_rows(self, height: int) -> None:
    """Refuses frames whose last map cannot be cut into strips."""
    if height % self._unit:
      raise ValueError(
        f"frames of {height} rows cannot be halved {self.halvings} times and "
        f"cut into {max(self.bins)} equal strips; give frames whose height is "
        f"a multiple of {self._unit}, or fewer halvings"
      )
