"""SwinGait (Fan et al., "Exploring Deep Models", 2023)."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gaitkd_jax.models import checks
from gaitkd_jax.models import heads
from gaitkd_jax.models import inputs
from gaitkd_jax.models import layers
from gaitkd_jax.models import network
from gaitkd_jax.models import opengait_keys
from gaitkd_jax.models import pooling
from gaitkd_jax.models import swin

SIZE = (30, 20)  # of the transformer's input
_STRIPS = 15
# DeepGaitV2's heads, whose weights SwinGait starts from, have one more.
_HEADS = 16
_UNDECAYED = {"patch_embed", "norm", "norm1", "norm2", "bias_table"}


def parameter_group(path: Sequence[str]) -> network.ParameterGroup:
  """OpenGait's groups for a SwinGait that starts from a DeepGaitV2.

  All but the transformer learn at a tenth of the rate. In the transformer the
  patch embedding, the bias tables and the normalisations of and behind the
  blocks do not decay.
  """
  if path[0] != "transformer":
    return network.ParameterGroup(0.1, decays=True)
  return network.ParameterGroup(1.0, decays=_UNDECAYED.isdisjoint(path))


class SwinGait(network.GaitNetwork):
  """DeepGaitV2-P3D's first stages, then a video Swin transformer.

  There are 15 parts. Feature maps `[n, s, h, w, c]`: "stage0" ... "stage2";
  "stage3" and "stage4", which are the transformer's; and "set" `[n, h, w, c]`.

  Attributes:
    channels: widths of the two convolutional stages.
    blocks: number of 2-D, P3D, first and second transformer blocks.
    num_classes: see `GaitNetwork`.
    drop_path_rate: share of sequences that skip the last transformer block in
      training; it grows linearly from 0 at the first.
    dim: width of the first transformer stage and of an embedding; the second
      stage has twice as much.
    retrieval: see `GaitNetwork`.
    remat: whether a backward pass computes the inside of every block anew,
      which saves memory and costs about a forward pass.
  """

  channels: tuple[int, ...] = (64, 128)
  blocks: tuple[int, ...] = (1, 4, 4, 2)
  num_classes: int = 0
  drop_path_rate: float = 0.1
  dim: int = 256
  retrieval: str = "embedding"
  remat: bool = False

  float_parts = "the attention blocks and what is between them and the strips"
  config_checks = {
    **network.GaitNetwork.config_checks,
    "channels": checks.integers((1, 1), "two positive numbers"),
    "blocks": checks.integers(
      (0, 1, 1, 1), "four numbers, positive but for the first"
    ),
    "dim": checks.Check(
      lambda v: isinstance(v, int) and v >= 16 and v % 16 == 0,
      "a multiple of 16",
    ),
    "drop_path_rate": checks.Check(
      lambda v: isinstance(v, int | float) and 0 <= v < 1,
      "at least 0 and less than 1",
    ),
  }
  expanded_modules = ("transformer",)
  optimizer_groups = {"swingait": parameter_group}  # as OpenGait's recipe

  @property
  def bins(self) -> tuple[int, ...]:
    """One level of strips, of which the transformer's maps have 15 rows."""
    return (_STRIPS,)

  @property
  def temporal(self) -> bool:
    """Windows of the transformer span three frames."""
    return True

  @property
  def smoke_size(self) -> Mapping[str, Any]:
    """A narrow network of one block a stage."""
    return {"channels": (4, 8), "blocks": (1, 1, 1, 1), "dim": 16}

  @property
  def rng_streams(self) -> tuple[str, ...]:
    """Which sequences skip which block."""
    return ("dropout",) if self.drop_path_rate else ()

  @property
  def opengait_rules(self) -> opengait_keys.Rules:
    """OpenGait's "SwinGait"."""
    embed = "transformer.patch_embed"
    merge = "transformer.layers.0.downsample"
    return (
      *opengait_keys.first_stage(),
      *opengait_keys.later_stages("p3d", (2,)),
      *opengait_keys.linear(
        f"{embed}.proj", "transformer/patch_embed/proj", "spatial"
      ),
      *opengait_keys.norm(f"{embed}.norm", "transformer/patch_embed/norm"),
      *_block_rules(0),
      *opengait_keys.norm(f"{merge}.0", "transformer/downsample_norm"),
      *opengait_keys.linear(f"{merge}.1", "transformer/downsample"),
      *_block_rules(1),
      *opengait_keys.norm("transformer.norm", "transformer/norm"),
      *opengait_keys.HEAD,
    )

  @nn.compact
  def encode(
    self, frames: inputs.Frames, *, train: bool
  ) -> dict[str, jax.Array]:
    """Computes the end points; see `GaitNetwork.encode`."""
    clips = frames.clips
    x = layers.stem(
      frames.merged,
      clips,
      self.channels[0],
      name="stem",
      dtype=self.dtype,
      train=train,
    )
    out = {"stage0": clips.split(x)}
    for i, block in enumerate((layers.BasicBlock2D, layers.P3DBlock)):
      x = layers.stage(
        x,
        clips,
        self.channels[i],
        self.blocks[i],
        block=block,
        stride=layers.STRIDES[i],
        name=f"stage{i + 1}",
        dtype=self.dtype,
        train=train,
        remat=self.remat,
      )
      out[f"stage{i + 1}"] = clips.split(x)
    out["stage3"], x = swin.Transformer(
      self.dim,
      self.blocks[2:],
      self.drop_path_rate,
      remat=self.remat,
      dtype=self.dtype,
      name="transformer",
    )(resize(x, SIZE), clips.frames, frames.lengths, train=train)
    out["stage4"] = x
    x = out["set"] = pooling.temporal_max(x, frames.valid)
    x = pooling.horizontal_pooling(x.astype(jnp.float32), _STRIPS)
    surplus = jnp.repeat(x[:, -1:], _HEADS - _STRIPS, axis=1)
    parts = heads.describe_parts(
      jnp.concatenate([x, surplus], axis=1),
      self.dim,
      self.num_classes,
      self.dtype,
      train,
      rectified=False,
    )
    return out | {name: value[:, :_STRIPS] for name, value in parts.items()}


def resize(x: jax.Array, size: tuple[int, int]) -> jax.Array:
  """Resizes frames bilinearly, the centres of the corner pixels kept in place.

  This is PyTorch's `align_corners=True`; `jax.image.resize` keeps the outer
  edges instead.

  Args:
    x: `[n, h, w, c]`.
    size: the new height and width.

  Returns:
    `[n, *size, c]`.
  """
  for axis, old, new in zip("hw", x.shape[1:3], size, strict=True):
    place = np.arange(new)[:, None] * (old - 1) / (new - 1)
    weights = np.maximum(1 - np.abs(place - np.arange(old)), 0)
    x = jnp.einsum(
      f"o{axis},nhwc->n{'hw'.replace(axis, 'o')}c",
      jnp.asarray(weights, x.dtype),
      x,
      precision=jax.lax.Precision.HIGHEST,
    )
  return x


def _block_rules(stage: int) -> Iterator[opengait_keys.Rule]:
  key = f"transformer.layers.{stage}.blocks.{{block}}"
  path = f"transformer/stage{stage}_block{{block}}"
  yield from opengait_keys.norm(f"{key}.norm1", f"{path}/norm1")
  yield from opengait_keys.norm(f"{key}.norm2", f"{path}/norm2")
  yield opengait_keys.Rule(
    f"{key}.attn.relative_position_bias_table",
    f"params/{path}/attention/bias_table",
    beside={"relative_position_index": swin.relative_index().astype(np.int64)},
  )
  for layer in ("qkv", "proj"):
    yield from opengait_keys.linear(
      f"{key}.attn.{layer}", f"{path}/attention/{layer}"
    )
  for layer in ("fc1", "fc2"):
    yield from opengait_keys.linear(f"{key}.mlp.{layer}", f"{path}/{layer}")
