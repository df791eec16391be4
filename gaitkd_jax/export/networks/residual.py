"""GaitBase, DeepGaitV2 and FoundationGait; see `models.residual_network`."""

from gaitkd_jax.export import builder
from gaitkd_jax.export import plan as plan_lib
from gaitkd_jax.models import foundationgait as foundationgait_lib
from gaitkd_jax.models import layers
from gaitkd_jax.models import residual_network

Value = plan_lib.Value


def plan(
  module: residual_network.ResidualNetwork, build: builder.Builder
) -> None:
  """Adds the layers of a network with one level of strips."""
  build.head(strips(module, build))


def foundationgait(
  module: foundationgait_lib.FoundationGait, build: builder.Builder
) -> None:
  """Adds the layers of a FoundationGait, fine-tuned or not."""
  x = part_layers(build, strips(module, build), "projector", rectified=True)
  if module.embedding_dim:
    build.head(build.same("unit_length", "projector", x), rectified=False)
    return
  x = part_layers(build, x, "predictor", rectified=False)
  build.same("unit_length", "predictor", x)


def part_layers(
  build: builder.Builder, x: Value, name: str, rectified: bool
) -> Value:
  """Adds `heads.PartLayers`: `[p, c]` to `[p, c]`."""
  constants = (-1, x.shape[1])
  x = build.linear(x, f"{name}/fc1", rectified)
  x = build.normalize(x, f"{name}/norm1", constants)
  x = build.linear(build.same("relu", f"{name}/norm1", x), f"{name}/fc2", True)
  if build.has_array(f"{name}/norm2/scale"):
    x = build.normalize(x, f"{name}/norm2", constants)
  return x


def strips(
  module: residual_network.ResidualStages, build: builder.Builder
) -> Value:
  """Adds the stages and the pooling: `[p, c]`."""
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
  return build.pool_strips(build.max_over_time(x), *module.bins)


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
