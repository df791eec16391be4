"""GaitPart."""

import numpy as np

from gaitkd_jax.export import builder
from gaitkd_jax.export import plan as plan_lib
from gaitkd_jax.export.networks import leaky
from gaitkd_jax.models import gaitpart

Value = plan_lib.Value
_WINDOWS = (3, 5)


def plan(module: gaitpart.GaitPart, build: builder.Builder) -> None:
  """Adds the layers of a network."""
  x = build.frames
  for i, (strips, pool) in enumerate(gaitpart.STAGES[module.variant]):
    x = leaky.stage(
      build, x, f"stage{i + 1}", first=i == 0, pool=pool, strips=strips
    )
  x = _micro_motion(build, build.pool_strips(x, *module.bins))
  build.linear(x, "fc", rectified=False)


def _micro_motion(build: builder.Builder, x: Value) -> Value:
  """Adds `gaitpart.MicroMotion`: `[p, c]` of frames to that of sequences."""
  x = build.zero_outside(x, "motion")
  weighted = []
  for size in _WINDOWS:
    name = f"motion/window{size}"
    y = _part_conv(build, x, f"{name}_squeeze")
    y = build.activate(y, f"{name}_squeeze", "leaky_relu")
    y = build.zero_outside(y, f"{name}_squeeze")
    score = _part_conv(build, y, f"{name}_expand")
    mean, highest = (
      build.same("window", name, x, size=size, what=what)
      for what in ("mean", "max")
    )
    pooled = build.same("add", name, mean, highest)
    score = build.same("sigmoid", name, score)
    weighted.append(build.same("multiply", name, score, pooled))
  return build.max_over_time(build.same("add", "motion", *weighted))


def _part_conv(build: builder.Builder, x: Value, name: str) -> Value:
  """Adds a `gaitpart.PartConv`: `[p, c]` to `[p, d]`, of zeros to zeros."""
  x = build.quantize(x, f"{name}/input", rectified=False)
  parts = x.shape[0]
  kernel = np.stack([build.array(f"{name}/part{i}") for i in range(parts)])
  weights = build.weights(name, (1, 2), edge=False, kernel=kernel)
  size, d = kernel.shape[1], kernel.shape[-1]
  # Taps are further channels, the first tap first.
  weights = weights.moved(lambda x: x.reshape(parts, -1, d))
  if size > 1:
    x = build.taps(x, name, size, axis=1)
  return build.add("linear", name, (x,), (parts, d), x.time, weights=weights)
