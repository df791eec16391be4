"""DeepGaitV2 (Fan et al., "Exploring Deep Models", 2023): 2-D, P3D and 3-D."""

from gaitkd_jax.models import part_network


def deepgaitv2(
  *,
  mode: str = "p3d",
  channels: tuple[int, ...] = (64, 128, 256, 512),
  blocks: tuple[int, ...] = (1, 4, 4, 1),
  num_classes: int = 0,
  **options,
) -> part_network.PartNetwork:
  """A deeper GaitBase whose stages 2 to 4 may convolve over time.

  Args:
    mode: "2d", "p3d" or "3d".
    channels: widths of the four stages; an embedding has `channels[2]`.
    blocks: residual blocks of the four stages.
    num_classes: training identities; 0 leaves the classifier out.
    **options: further attributes of `PartNetwork`.

  Returns:
    The module.

  Raises:
    ValueError: unknown mode.
  """
  if mode not in part_network.BLOCKS:
    known = ", ".join(part_network.BLOCKS)
    raise ValueError(f"mode is {mode!r}; give one of {known}")
  return part_network.PartNetwork(
    channels=channels,
    blocks=blocks,
    mode=mode,
    embedding_dim=channels[2],
    num_classes=num_classes,
    **options,
  )
