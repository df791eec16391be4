"""GaitSet, and GaitBase with its plain backbone."""

from gaitkd_jax.export import builder
from gaitkd_jax.export.networks import leaky
from gaitkd_jax.models import gaitbase_plain
from gaitkd_jax.models import gaitset as gaitset_lib


def gaitset(module: gaitset_lib.GaitSet, build: builder.Builder) -> None:
  """Adds the layers of GaitSet."""
  x = build.frames
  for i in range(len(module.channels)):
    first, pool = i == 0, i < 2
    x = leaky.stage(build, x, f"stage{i + 1}", first=first, pool=pool)
    highest = build.max_over_time(x)
    if first:
      total = highest
      continue
    total = leaky.stage(build, total, f"set_stage{i + 1}", pool=pool)
    name = f"set_sum{i + 1}"
    total = build.quantize(
      build.same("add", name, total, highest), name, rectified=False
    )
  levels = module.bins[: len(module.bins) // 2]
  parts = [build.pool_strips(x, *levels) for x in (highest, total)]
  build.linear(build.concat("strips", *parts), "fc", rectified=False)


def plain(module: gaitbase_plain.GaitBasePlain, build: builder.Builder) -> None:
  """Adds the layers of GaitBase with its plain backbone."""
  x = build.frames
  for i in range(len(module.channels)):
    pool = i < module.halvings
    x = leaky.stage(build, x, f"stage{i + 1}", first=i == 0, pool=pool)
  x = build.max_over_time(x)
  build.head(build.pool_strips(x, *module.bins), rectified=False)
