"""GaitBase (Fan et al., "OpenGait", CVPR 2023)."""

from gaitkd_jax.models import part_network


def gaitbase(
  *,
  channels: tuple[int, ...] = (64, 128, 256, 512),
  blocks: tuple[int, ...] = (1, 1, 1, 1),
  embedding_dim: int = 256,
  num_classes: int = 0,
  **options,
) -> part_network.PartNetwork:
  """ResNet9 on every frame, maximum over time, 16 strips.

  Args:
    channels: widths of the four stages.
    blocks: residual blocks of the four stages.
    embedding_dim: width of a part's embedding.
    num_classes: training identities; 0 leaves the classifier out.
    **options: further attributes of `PartNetwork`.

  Returns:
    The module.
  """
  return part_network.PartNetwork(
    channels=channels,
    blocks=blocks,
    mode="2d",
    embedding_dim=embedding_dim,
    num_classes=num_classes,
    **options,
  )
