"""The networks as published, as model configs.

Those of OpenGait's configs (github.com/ShiqiYu/OpenGait), mostly for CASIA-B.
"""

from typing import Any

from ml_collections import ConfigDict

# The name of a model that is not here, see `imported`.
IMPORTED = "imported"


def gaitbase(**values: Any) -> ConfigDict:
  """GaitBase as published for CASIA-B."""
  return ConfigDict(
    dict(
      name="gaitbase",
      channels=(64, 128, 256, 512),
      blocks=(1, 1, 1, 1),
      embedding_dim=256,
      num_classes=74,
      in_channels=1,
      retrieval="embedding",
      remat=False,
    )
    | values
  )


def gaitbase_plain(**values: Any) -> ConfigDict:
  """OpenGait's baseline with a plain backbone, as published for CASIA-B."""
  return ConfigDict(
    dict(
      name="gaitbase_plain",
      channels=(64, 128, 256),
      halvings=2,
      bins=(16, 8, 4, 2, 1),
      embedding_dim=256,
      num_classes=74,
      in_channels=1,
      retrieval="embedding",
    )
    | values
  )


def deepgaitv2(**values: Any) -> ConfigDict:
  """DeepGaitV2-P3D as published for CASIA-B."""
  return ConfigDict(
    dict(
      name="deepgaitv2",
      mode="p3d",
      channels=(64, 128, 256, 512),
      blocks=(1, 1, 1, 1),
      num_classes=74,
      in_channels=1,
      retrieval="embedding",
      remat=False,
    )
    | values
  )


def foundationgait(**values: Any) -> ConfigDict:
  """FoundationGait (0.03 billion parameters) as fine-tuned for Gait3D."""
  return ConfigDict(
    dict(
      name="foundationgait",
      channels=(64, 128, 256, 512),
      blocks=(1, 4, 8, 4),
      bins=(16, 8, 4, 2, 1),
      embedding_dim=256,
      num_classes=3000,
      in_channels=1,
      retrieval="embedding",
      remat=False,
    )
    | values
  )


def skeletongaitpp(**values: Any) -> ConfigDict:
  """SkeletonGait++ as published for Gait3D; needs heat maps."""
  return ConfigDict(
    dict(
      name="skeletongaitpp",
      base_channels=64,
      blocks=(1, 4, 4, 1),
      num_classes=3000,
      in_channels=3,
      retrieval="embedding",
      remat=False,
    )
    | values
  )


def swingait(**values: Any) -> ConfigDict:
  """SwinGait as published for Gait3D."""
  return ConfigDict(
    dict(
      name="swingait",
      channels=(64, 128),
      blocks=(1, 4, 4, 2),
      num_classes=3000,
      in_channels=1,
      drop_path_rate=0.1,
      dim=256,
      retrieval="embedding",
      remat=False,
    )
    | values
  )


def gaitset(**values: Any) -> ConfigDict:
  """GaitSet as published for CASIA-B; it has no classifier."""
  return ConfigDict(
    dict(
      name="gaitset",
      channels=(32, 64, 128),
      embedding_dim=256,
      in_channels=1,
    )
    | values
  )


def gaitpart(**values: Any) -> ConfigDict:
  """GaitPart as published for CASIA-B; it has no classifier."""
  return ConfigDict(
    dict(
      name="gaitpart",
      channels=(32, 64, 128),
      embedding_dim=128,
      variant="casiab",
      in_channels=1,
    )
    | values
  )


def gaitgl(**values: Any) -> ConfigDict:
  """GaitGL as published for CASIA-B."""
  return ConfigDict(
    dict(
      name="gaitgl",
      channels=(32, 64, 128),
      num_classes=74,
      variant="casiab",
      neck=False,
      in_channels=1,
      retrieval="embedding",
    )
    | values
  )


def imported() -> ConfigDict:
  """A teacher's network that is not here, of whatever framework.

  Its outputs were read by scripts/import_teacher.py into the store that
  `teachers.<name>.cache` names; the store says how many parts, channels and
  classes there are, and where the parts lie.
  """
  return ConfigDict(dict(name=IMPORTED))
