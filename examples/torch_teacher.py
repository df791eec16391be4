"""A network of PyTorch as a teacher: reads clips, writes what it makes of them.

python examples/torch_teacher.py --clips=runs/walkers_clips/clips \
  --outputs=runs/torch_outputs

Needs numpy and torch alone. The network stands for yours: --weights is a
state_dict of it, without which it knows nothing. docs/teachers.md says what
comes before and after.
"""

import argparse
import pathlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional


class Network(nn.Module):
  """Convolutions, the maximum over time, strips, a neck, cosines."""

  def __init__(self, classes: int, parts: int = 8, width: int = 64):
    super().__init__()
    self.parts = parts
    self.maps = nn.Sequential(
      *(nn.Conv2d(1, 16, 5, 2, 2), nn.BatchNorm2d(16), nn.ReLU()),
      *(nn.Conv2d(16, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU()),
      nn.Conv2d(width, width, 3, 1, 1),
    )
    self.neck = nn.BatchNorm1d(parts * width)
    self.centres = nn.Parameter(torch.randn(parts, width, classes))

  def forward(self, clips: torch.Tensor, lengths: torch.Tensor):
    """Maps uint8 [n, s, h, w] to [n, p, d], [n, p, k] and [n, p, d]."""
    n, s = clips.shape[:2]
    x = self.maps(clips.flatten(0, 1)[:, None].float() / 255)
    behind = torch.arange(s) >= lengths[:, None]
    x = x.unflatten(0, (n, s)).masked_fill(behind[..., None, None, None], -1e9)
    x = x.amax(1).unflatten(2, (self.parts, -1)).flatten(3)
    x = (x.mean(-1) + x.amax(-1)).transpose(1, 2)
    y = self.neck(x.flatten(1)).view_as(x)
    unit = functional.normalize(y, dim=2), functional.normalize(self.centres, 1)
    return x, torch.einsum("npd,pdk->npk", *unit), y


@torch.no_grad()
def embed(network: nn.Module, path: pathlib.Path, output: pathlib.Path) -> None:
  """Runs a network on a file of clips, and writes what it gives."""
  with np.load(path) as file:
    clips, lengths = (
      torch.from_numpy(file[key]) for key in ("silhouettes", "lengths")
    )
    kept = {key: file[key] for key in ("row", "digest")}
  several = [
    network(*rows)
    for rows in zip(clips.split(64), lengths.split(64), strict=True)
  ]
  outputs = (torch.cat(x).numpy() for x in zip(*several, strict=True))
  kept |= dict(zip(("embedding", "logits", "neck"), outputs, strict=True))
  output.parent.mkdir(parents=True, exist_ok=True)
  np.savez(output, **kept)


def main() -> None:
  """Embeds every file of clips."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--clips", required=True, type=pathlib.Path)
  parser.add_argument("--outputs", required=True, type=pathlib.Path)
  parser.add_argument("--weights", type=pathlib.Path)
  parser.add_argument("--classes", default=32, type=int)
  args = parser.parse_args()
  torch.manual_seed(0)
  network = Network(args.classes).eval()
  if args.weights:
    network.load_state_dict(torch.load(args.weights, weights_only=True))
  for path in sorted(args.clips.glob("clips-*.npz")):
    embed(network, path, args.outputs / path.name)
    print(f"{args.outputs / path.name}", flush=True)


if __name__ == "__main__":
  main()
