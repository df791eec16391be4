"""SkeletonGait++."""

from gaitkd_jax.export import builder
from gaitkd_jax.export import plan as plan_lib
from gaitkd_jax.export.networks import residual
from gaitkd_jax.models import layers
from gaitkd_jax.models import skeletongaitpp

Value = plan_lib.Value


def plan(module: skeletongaitpp.SkeletonGaitPP, build: builder.Builder) -> None:
  """Adds the layers of a network."""
  last = module.in_channels - 1
  branches = []
  for branch, start, stop in (
    ("silhouette", last, last + 1),
    ("map", 0, last),
  ):
    x = build.frames
    shape = (stop - start, *x.shape[1:])
    x = build.add("slice", branch, (x,), shape, x.time, start=start, stop=stop)
    x = build.conv(x, f"{branch}_stem", activation="relu", first=True)
    branches.append(
      residual.stage(
        build,
        x,
        f"{branch}_stage1",
        module.blocks[0],
        layers.BasicBlock2D,
        layers.STRIDES[0],
      )
    )
  x = _fusion(build, *branches)
  for i in (1, 2, 3):
    x = residual.stage(
      build,
      x,
      f"stage{i + 1}",
      module.blocks[i],
      layers.P3DBlock,
      layers.STRIDES[i],
    )
  build.head(build.pool_strips(build.max_over_time(x), module.parts))


def _fusion(build: builder.Builder, silhouette: Value, maps: Value) -> Value:
  """Adds the `skeletongaitpp.AttentionFusion`."""
  x = build.concat("fusion", silhouette, maps)
  x = build.quantize(x, "fusion/both", rectified=True)
  for name in ("squeeze", "mix"):
    x = build.conv(x, f"fusion/{name}", activation="relu")
  x = build.conv(x, "fusion/expand")
  x = build.same("blend", "fusion", silhouette, maps, x)
  return build.quantize(x, "fusion/sum", rectified=True)
