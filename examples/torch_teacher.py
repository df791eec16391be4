"""A network of PyTorch as a teacher: reads clips, writes what it makes of them.

python examples/torch_teacher.py --clips=runs/walkers_clips/clips \
  --outputs=runs/torch_outputs

Needs numpy and torch alone. The network is any that gives one embedding a part;
here it learns the subjects of the clips for some steps first. docs/teachers.md
says what comes before and after.
"""

import argparse
import pathlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional


class Network(nn.Module):
  """Convolutions, the maximum over time, strips, cosines to every subject."""

  def __init__(self, classes: int, parts: int = 8, width: int = 64):
    super().__init__()
    self.parts = parts
    self.maps = nn.Sequential(
      *(nn.Conv2d(1, 16, 5, 2, 2), nn.BatchNorm2d(16), nn.ReLU()),
      *(nn.Conv2d(16, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU()),
      nn.Conv2d(width, width, 3, 1, 1),
    )
    self.centres = nn.Parameter(torch.randn(parts, width, classes))

  def forward(self, clips: torch.Tensor, lengths: torch.Tensor):
    """Maps uint8 [n, s, h, w] to [n, p, d] and [n, p, k]."""
    n, s = clips.shape[:2]
    x = self.maps(clips.flatten(0, 1)[:, None].float() / 255)
    behind = torch.arange(s) >= lengths[:, None]
    x = x.unflatten(0, (n, s)).masked_fill(behind[..., None, None, None], -1e9)
    x = x.amax(1).unflatten(2, (self.parts, -1)).flatten(3)
    x = (x.mean(-1) + x.amax(-1)).transpose(1, 2)
    unit = functional.normalize(x, dim=2), functional.normalize(self.centres, 1)
    return x, torch.einsum("npd,pdk->npk", *unit)


def learn(network: Network, paths: list[pathlib.Path], steps: int) -> None:
  """Trains to tell the subjects apart, on one file of clips after another."""
  optimizer, done = torch.optim.Adam(network.parameters(), 1e-3), 0
  while done < steps:
    for path in paths:
      with np.load(path) as file:
        keys = ("silhouettes", "lengths", "labels")
        arrays = [torch.from_numpy(file[key]) for key in keys]
      order = torch.randperm(len(arrays[0]))
      for rows in order.split(64)[: steps - done]:
        clips, lengths, labels = (array[rows] for array in arrays)
        logits = 16 * network(clips, lengths)[1].transpose(1, 2)
        targets = labels.long()[:, None].expand(-1, network.parts)
        loss = functional.cross_entropy(logits, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        done += 1
        if done % 20 == 0:
          print(f"step {done}: cross entropy {loss:.3f}", flush=True)


@torch.no_grad()
def embed(network: nn.Module, path: pathlib.Path, output: pathlib.Path) -> None:
  """Runs a network on a file of clips, and writes its outputs."""
  with np.load(path) as file:
    clips, lengths = (
      torch.from_numpy(file[key]) for key in ("silhouettes", "lengths")
    )
    kept = {key: file[key] for key in ("row", "digest")}
  several = [
    network(*rows)
    for rows in zip(clips.split(64), lengths.split(64), strict=True)
  ]
  embedding, logits = (torch.cat(x).numpy() for x in zip(*several, strict=True))
  output.parent.mkdir(parents=True, exist_ok=True)
  np.savez(output, embedding=embedding, logits=logits, **kept)


def main() -> None:
  """Learns, and embeds every file of clips."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--clips", required=True, type=pathlib.Path)
  parser.add_argument("--outputs", required=True, type=pathlib.Path)
  parser.add_argument("--steps", default=100, type=int)
  args = parser.parse_args()
  paths = sorted(args.clips.glob("clips-*.npz"))
  classes = 1 + max(int(np.load(path)["labels"].max()) for path in paths)
  torch.manual_seed(0)
  network = Network(classes)
  learn(network, paths, args.steps)
  network.eval()
  for path in paths:
    embed(network, path, args.outputs / path.name)
    print(f"{args.outputs / path.name}", flush=True)


if __name__ == "__main__":
  main()
