"""GaitBase and DeepGaitV2 in PyTorch, in evaluation, by OpenGait's structure.

What an exported network is timed beside. Modules and parameters have OpenGait's
names, so that what `gaitkd_jax.opengait.variables_to_opengait` writes is loaded
by `load_state_dict`; arrays are `[n, c, s, h, w]` as there, and the layers of
frames take `[n * s, c, h, w]`.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

_STRIDES = (1, 2, 2, 1)
_PARTS = 16


def _conv(inputs: int, outputs: int, stride: int = 1, size: int = 3) -> Any:
  return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


class Frames(nn.Module):
  """A module of frames as one of sequences: OpenGait's SetBlockWrapper."""

  def __init__(self, block: nn.Module) -> None:
    super().__init__()
    self.forward_block = block

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """Maps `x` as OpenGait does."""
    n, c, s, h, w = x.shape
    x = self.forward_block(x.transpose(1, 2).reshape(-1, c, h, w))
    return x.reshape(n, s, *x.shape[1:]).transpose(1, 2).contiguous()


class Block2D(nn.Module):
  """A residual block of frames."""

  def __init__(self, inputs: int, outputs: int, stride: int) -> None:
    super().__init__()
    self.conv1 = _conv(inputs, outputs, stride)
    self.bn1 = nn.BatchNorm2d(outputs)
    self.conv2 = _conv(outputs, outputs)
    self.bn2 = nn.BatchNorm2d(outputs)
    self.downsample = None
    if stride > 1 or inputs != outputs:
      self.downsample = nn.Sequential(
        nn.Conv2d(inputs, outputs, 1, stride, bias=False),
        nn.BatchNorm2d(outputs),
      )

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """Maps `x` as OpenGait does."""
    y = torch.relu(self.bn1(self.conv1(x)))
    y = self.bn2(self.conv2(y))
    return torch.relu(y + (self.downsample(x) if self.downsample else x))


class BlockP3D(nn.Module):
  """A residual block whose convolutions are over pixels or over time."""

  def __init__(self, inputs: int, outputs: int, stride: int) -> None:
    super().__init__()
    self.conv1 = Frames(
      nn.Sequential(
        _conv(inputs, outputs, stride), nn.BatchNorm2d(outputs), nn.ReLU()
      )
    )
    self.shortcut3d = nn.Conv3d(
      outputs, outputs, (3, 1, 1), 1, (1, 0, 0), bias=False
    )
    self.sbn = nn.BatchNorm3d(outputs)
    self.conv2 = Frames(
      nn.Sequential(_conv(outputs, outputs), nn.BatchNorm2d(outputs))
    )
    self.downsample = None
    if stride > 1 or inputs != outputs:
      self.downsample = nn.Sequential(
        nn.Conv3d(inputs, outputs, 1, (1, stride, stride), bias=False),
        nn.BatchNorm3d(outputs),
      )

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """Maps `x` as OpenGait does."""
    y = self.conv1(x)
    y = self.conv2(torch.relu(y + self.sbn(self.shortcut3d(y))))
    return torch.relu(y + (self.downsample(x) if self.downsample else x))


class ResNet(nn.Module):
  """GaitBase's backbone."""

  def __init__(self, channels: Sequence[int], blocks: Sequence[int]) -> None:
    super().__init__()
    self.conv1 = nn.Module()
    self.conv1.conv = _conv(1, channels[0])
    self.bn1 = nn.BatchNorm2d(channels[0])
    for i, layer in enumerate(_layers(Block2D, channels, blocks), 1):
      self.add_module(f"layer{i}", layer)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """Maps `x` as OpenGait does."""
    x = torch.relu(self.bn1(self.conv1.conv(x)))
    return self.layer4(self.layer3(self.layer2(self.layer1(x))))


def _layers(
  block: type[nn.Module], channels: Sequence[int], blocks: Sequence[int]
) -> list[nn.Sequential]:
  before = channels[0]
  found = []
  for width, count, stride in zip(channels, blocks, _STRIDES, strict=True):
    found.append(
      nn.Sequential(
        *(
          block(width if i else before, width, 1 if i else stride)
          for i in range(count)
        )
      )
    )
    before = width
  return found


class _Network(nn.Module):
  """What both have: the maximum over time, the strips and the first layer."""

  def __init__(self, inputs: int, outputs: int) -> None:
    super().__init__()
    self.FCs = nn.Module()
    self.FCs.fc_bin = nn.Parameter(torch.empty(_PARTS, inputs, outputs))

  def backbone(self, x: torch.Tensor) -> torch.Tensor:
    """From frames `[n, 1, s, h, w]` to the last map `[n, c, s, h, w]`."""
    raise NotImplementedError

  def forward(self, silhouettes: torch.Tensor) -> torch.Tensor:
    """Embeds.

    Args:
      silhouettes: uint8 `[n, s, h, w]`.

    Returns:
      Float32 `[n, p, d]`.
    """
    x = self.backbone(silhouettes[:, None].float() / 255)
    x = x.amax(dim=2)
    n, c = x.shape[:2]
    x = x.reshape(n, c, _PARTS, -1)
    x = x.mean(-1) + x.amax(-1)
    return x.permute(2, 0, 1).matmul(self.FCs.fc_bin).transpose(0, 1)


class GaitBase(_Network):
  """OpenGait's Baseline with ResNet9."""

  def __init__(
    self, channels: Sequence[int], blocks: Sequence[int], width: int
  ) -> None:
    super().__init__(channels[-1], width)
    self.Backbone = Frames(ResNet(channels, blocks))

  def backbone(self, x: torch.Tensor) -> torch.Tensor:
    """From frames `[n, 1, s, h, w]` to the last map `[n, c, s, h, w]`."""
    return self.Backbone(x)


class DeepGaitV2(_Network):
  """DeepGaitV2 in 2-D or P3D."""

  def __init__(
    self, channels: Sequence[int], blocks: Sequence[int], mode: str
  ) -> None:
    super().__init__(channels[-1], channels[2])
    self.layer0 = Frames(
      nn.Sequential(
        _conv(1, channels[0]), nn.BatchNorm2d(channels[0]), nn.ReLU()
      )
    )
    block = {"2d": Block2D, "p3d": BlockP3D}[mode]
    plain = _layers(Block2D, channels, blocks)
    layers = _layers(block, channels, blocks)
    for i in range(4):
      if i == 0 or mode == "2d":
        self.add_module(f"layer{i + 1}", Frames(plain[i]))
      else:
        self.add_module(f"layer{i + 1}", layers[i])

  def backbone(self, x: torch.Tensor) -> torch.Tensor:
    """From frames `[n, 1, s, h, w]` to the last map `[n, c, s, h, w]`."""
    x = self.layer1(self.layer0(x))
    return self.layer4(self.layer3(self.layer2(x)))


def create(model: Mapping[str, Any]) -> _Network | None:
  """The network of a model's config, without weights; None: not written here.

  Args:
    model: as for `models.create_model`, with the keys that matter: name, mode,
      channels, blocks, in_channels and retrieval.
  """
  if model.get("retrieval", "embedding") != "embedding":
    return None
  if model.get("in_channels", 1) != 1:
    return None
  sizes = model["channels"], model["blocks"]
  if model["name"] == "gaitbase":
    return GaitBase(*sizes, model.get("embedding_dim", 256)).eval()
  if model["name"] == "deepgaitv2" and model["mode"] in ("2d", "p3d"):
    return DeepGaitV2(*sizes, model["mode"]).eval()
  return None


def load(network: _Network, state: Mapping[str, Any]) -> None:
  """Loads arrays by OpenGait's key; those of the neck are left out."""
  network.load_state_dict(
    {
      key: torch.from_numpy(value)
      for key, value in state.items()
      if not key.startswith("BNNecks.")
    }
  )
