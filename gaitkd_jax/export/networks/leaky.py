"""Layers of networks that are made of `models.leaky_stages`."""

from gaitkd_jax.export import builder
from gaitkd_jax.export import plan as plan_lib

Value = plan_lib.Value


def stage(
  build: builder.Builder,
  x: Value,
  name: str,
  *,
  first: bool = False,
  pool: bool = False,
  strips: int = 1,
) -> Value:
  """Adds two convolutions, each with a leaky rectifier.

  Args:
    build: takes the layers.
    x: `[c, h, w]`; may be cut into strips already.
    name: of the stage.
    first: whether it reads the network's frames.
    pool: whether a maximum halves the image at the end.
    strips: that are convolved each on its own.

  Returns:
    `[features, h', w']`, cut into as many strips.
  """
  if x.strips != strips:
    x = cut_strips(build, join_strips(build, x, name), name, strips)
  for i in (1, 2):
    x = build.conv(
      x, f"{name}_conv{i}", activation="leaky_relu", first=first and i == 1
    )
  return max_pool(build, x, name) if pool else x


def max_pool(build: builder.Builder, x: Value, name: str) -> Value:
  """Adds the maximum of 2 x 2 pixels."""
  c, h, w = x.shape
  if h % 2:  # of strips, the map's last row may have a neighbour in the next
    x = join_strips(build, x, name)
    c, h, w = x.shape
  shape = c, h // 2, w // 2
  return build.add("max_pool", name, (x,), shape, x.time, x.strips)


def cut_strips(
  build: builder.Builder, x: Value, name: str, strips: int
) -> Value:
  """Makes entries of the first axis of a map's strips; one is the map."""
  if strips == 1:
    return x
  c, h, w = x.shape
  return build.add(
    "cut_strips", name, (x,), (c, h // strips, w), x.time, strips
  )


def join_strips(build: builder.Builder, x: Value, name: str) -> Value:
  """The inverse."""
  if x.strips == 1:
    return x
  c, h, w = x.shape
  return build.add("join_strips", name, (x,), (c, h * x.strips, w), x.time)
