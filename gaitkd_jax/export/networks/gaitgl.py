"""GaitGL."""

from gaitkd_jax.export import builder
from gaitkd_jax.export import plan as plan_lib
from gaitkd_jax.export.networks import leaky
from gaitkd_jax.models import gaitgl

Value = plan_lib.Value


def plan(module: gaitgl.GaitGL, build: builder.Builder) -> None:
  """Adds the layers of a network."""
  stem, depth, strips = gaitgl.VARIANTS[module.variant]
  x = build.frames
  x = build.add(
    "repeat_short", "input", (x,), x.shape, build.time(x, "repeat_short")
  )
  for i in range(stem):
    x = build.conv(x, f"stem{i}", activation="leaky_relu", first=i == 0)
  pace = len(build.array("pace/kernel"))
  x = build.conv(x, "pace", activation="leaky_relu", pace=pace, over_time=True)
  for i in (1, 2, 3):
    for j in range(depth):
      name = f"stage{i}" + (f"_layer{j}" if depth > 1 else "")
      whole, local = _global_local(build, x, name, strips)
      if (i, j) == (3, depth - 1):
        break
      local = leaky.join_strips(build, local, name)
      x = build.same("add", name, whole, local)
      x = build.quantize(x, f"{name}/sum", rectified=False)
    if i == 1:
      x = leaky.max_pool(build, x, name)
  # The maps that the network puts one below the other are pooled one by one.
  pooled = [
    _generalised_mean(build, build.max_over_time(x), parts)
    for x, parts in zip((whole, local), module.bins, strict=True)
  ]
  x = build.concat("pool", *pooled)
  if module.neck:
    build.head(x)
  else:
    build.normalize(build.linear(x, "fc", rectified=True), "bn", (1, -1))


def _global_local(
  build: builder.Builder, x: Value, name: str, strips: int
) -> tuple[Value, Value]:
  """Adds both convolutions of a `gaitgl.GlobalLocal`.

  Returns:
    The map of the image, and that of its strips, which is cut into them.
  """
  # Both read the same neighbours in time.
  x = build.taps(build.zero_outside(x, name), name)
  whole, local = (
    build.conv(y, f"{name}/{kind}", activation="leaky_relu", tapped=True)
    for kind, y in (
      ("global", x),
      ("local", leaky.cut_strips(build, x, name, strips)),
    )
  )
  return whole, local


def _generalised_mean(build: builder.Builder, x: Value, parts: int) -> Value:
  """Adds a `gaitgl.GeneralisedMean`: `[c, h, w]` to `[parts, c]`."""
  return build.add(
    "generalised_mean",
    "pool",
    (x,),
    (parts, x.shape[0]),
    x.time,
    parts=parts,
    exponent=float(build.array("pool/exponent")[0]),
    least=gaitgl.LEAST,
  )
