"""GaitBase and DeepGaitV2; see `models.residual_network`."""

from gaitkd_jax.export import builder
from gaitkd_jax.export import plan as plan_lib
from gaitkd_jax.models import layers
from gaitkd_jax.models import residual_network

Value = plan_lib.Value


def plan(
  module: residual_network.ResidualNetwork, build: builder.Builder
) -> None:
  """Adds the layers of a network."""
  x = build.conv(build.frames, "stem", activation="relu", first=True)
  for i in range(4):
    x = stage(
      build,
      x,
      f"stage{i + 1}",
      module.blocks[i],
      module.block if i else layers.BasicBlock2D,
      layers.STRIDES[i],
    )
  x = build.max_over_time(x)
  build.head(build.pool_strips(x, module.parts))


def stage(
  build: builder.Builder,
  x: Value,
  name: str,
  count: int,
  block: type[layers.Block],
  stride: int,
) -> Value:
  """Adds a stage of residual blocks, the first of them strided."""
  for i in range(count):
    path = f"{name}_block{i}"
    step = (stride, stride) if i == 0 else (1, 1)
    y = build.conv(x, f"{path}/conv1", strides=step, activation="relu")
    if block is layers.P3DBlock:
      z = build.conv(y, f"{path}/temporal", over_time=True)
      y = build.rectified_sum(z, y, f"{path}/temporal_sum")
    y = build.conv(y, f"{path}/conv2")
    # Only a block that changes the shape has a layer there.
    if build.has(f"{path}/shortcut"):
      x = build.conv(x, f"{path}/shortcut", strides=step)
    x = build.rectified_sum(y, x, f"{path}/sum")
  return x
