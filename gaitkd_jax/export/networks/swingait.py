"""SwinGait; see `models.swingait` and `models.swin`."""

from gaitkd_jax.export import builder
from gaitkd_jax.export import plan as plan_lib
from gaitkd_jax.export.networks import residual
from gaitkd_jax.models import layers
from gaitkd_jax.models import swin
from gaitkd_jax.models import swingait

Value = plan_lib.Value
_NAME = "transformer"
_EPSILON = 1e-5  # of every layer normalisation


def plan(module: swingait.SwinGait, build: builder.Builder) -> None:
  """Adds the layers of a network."""
  x = build.conv(build.frames, "stem", activation="relu", first=True)
  for i, block in enumerate((layers.BasicBlock2D, layers.P3DBlock)):
    x = residual.stage(
      build,
      x,
      f"stage{i + 1}",
      module.blocks[i],
      block,
      layers.STRIDES[i],
    )
  c, (h, w) = x.shape[0], swingait.SIZE
  x = build.add("resize", "resize", (x,), (c, h, w), x.time)
  x = build.max_over_time(_transformer(module, build, x))
  h, w, c = x.shape
  x = build.add("channels_first", "set", (x,), (c, h, w), None)
  # Of the head's parts the last is training's alone.
  build.head(build.pool_strips(x, *module.bins), rectified=False)


def _transformer(
  module: swingait.SwinGait, build: builder.Builder, x: Value
) -> Value:
  """Adds `swin.Transformer`: `[c, 30, 20]` to `[15, 10, 2 dim]` of frames."""
  frames = x.time
  x = _patches(build, x, module.dim)
  whole = build.time(x, "whole", swin.WINDOW[0])
  x = build.add("pad_time", f"{_NAME}/pad", (x,), x.shape, whole)
  windows = _Windows(build, x)
  for stage, count in enumerate(module.blocks[2:]):
    if stage:
      x = _layer_norm(build, x, f"{_NAME}/downsample_norm")
      x = _dense(build, x, f"{_NAME}/downsample")
    for i in range(count):
      path = f"{_NAME}/stage{stage}_block{i}"
      x = _block(build, x, path, windows, shifted=i % 2 == 1)
  x = build.add("cut_time", f"{_NAME}/pad", (x,), x.shape, frames)
  return _layer_norm(build, x, f"{_NAME}/norm")


def _patches(build: builder.Builder, x: Value, features: int) -> Value:
  """Adds `swin.PatchEmbedding`: `[c, h, w]` to `[h / 2, w / 2, features]`."""
  name = f"{_NAME}/patch_embed"
  kernel = build.array(f"{name}/proj/kernel").transpose(3, 2, 0, 1)
  h, w = x.shape[1] // 2, x.shape[2] // 2
  x = build.add(
    "convolve",
    f"{name}/proj",
    (x,),
    (features, h, w),
    x.time,
    weights=plan_lib.Weights(kernel),
    bias=build.array(f"{name}/proj/bias"),
    strides=(2, 2),
    padding=(0, 0),
  )
  x = build.add("channels_last", name, (x,), (h, w, features), x.time)
  return _layer_norm(build, x, f"{name}/norm")


class _Windows:
  """Cuts frames into windows and joins them; keeps what all blocks share."""

  def __init__(self, build: builder.Builder, x: Value) -> None:
    """For values that have the shape of `x` but for the last axis."""
    a, b, d = swin.WINDOW
    self._build, self._frames = build, x
    self._time = build.time(x, "divide", a)
    self._strips = (x.shape[0] // b) * (x.shape[1] // d)
    self._tokens = a * b * d
    self._orders: dict[bool, Value] = {}
    self._masks: dict[bool, Value] = {}

  def cut(self, x: Value, name: str, shifted: bool) -> Value:
    """`[h, w, c]` of frames to `[45, c]` of windows."""
    return self._build.add(
      "cut_windows",
      name,
      (x, *self._order(shifted, back=False)),
      (self._tokens, x.shape[-1]),
      self._time,
      self._strips,
      rolled=shifted,
    )

  def join(self, x: Value, name: str, shifted: bool) -> Value:
    """The inverse."""
    return self._build.add(
      "join_windows",
      name,
      (x, *self._order(shifted, back=True)),
      (*self._frames.shape[:2], x.shape[-1]),
      self._frames.time,
      rolled=shifted,
    )

  def mask(self, shifted: bool) -> Value:
    """What is added to scores: `[1, 45 or 1, 45]` of windows."""
    if shifted not in self._masks:
      queries = self._tokens if shifted else 1
      self._masks[shifted] = self._build.add(
        "attention_mask",
        f"{_NAME}/mask",
        (self._frames,),
        (1, queries, self._tokens),
        self._time,
        self._strips,
        rolled=shifted,
      )
    return self._masks[shifted]

  def _order(self, shifted: bool, back: bool) -> tuple[Value, ...]:
    """The order of frames; nothing if no window is shifted."""
    if not shifted:
      return ()
    if back not in self._orders:
      self._orders[back] = self._build.add(
        "roll_order",
        f"{_NAME}/roll",
        (self._frames,),
        (),
        self._frames.time,
        back=back,
      )
    return (self._orders[back],)


def _block(
  build: builder.Builder, x: Value, name: str, windows: _Windows, shifted: bool
) -> Value:
  """Adds a `swin.Block`: `[h, w, c]` to the same shape."""
  c = x.shape[-1]
  y = _layer_norm(build, x, f"{name}/norm1")
  y = build.same("zero_outside", f"{name}/norm1", y)
  y = windows.cut(y, name, shifted)
  y = _dense(build, y, f"{name}/attention/qkv")
  table = build.array(f"{name}/attention/bias_table")
  y = build.add(
    "attend",
    f"{name}/attention",
    (y, windows.mask(shifted)),
    (y.shape[0], c),
    y.time,
    y.strips,
    heads=c // swin.HEAD_DIM,
    bias=table[swin.relative_index()].transpose(2, 0, 1),
  )
  y = _dense(build, y, f"{name}/attention/proj")
  x = build.same("add", name, x, windows.join(y, name, shifted))
  y = _layer_norm(build, x, f"{name}/norm2")
  y = _dense(build, y, f"{name}/fc1")
  y = build.same("gelu", f"{name}/fc1", y)
  return build.same("add", name, x, _dense(build, y, f"{name}/fc2"))


def _layer_norm(build: builder.Builder, x: Value, name: str) -> Value:
  return build.same(
    "layer_norm",
    name,
    x,
    scale=build.array(f"{name}/scale"),
    shift=build.array(f"{name}/bias"),
    epsilon=_EPSILON,
  )


def _dense(build: builder.Builder, x: Value, name: str) -> Value:
  """Adds a linear layer over the last axis, which stays float."""
  kernel = build.array(f"{name}/kernel")
  bias = f"{name}/bias"
  return build.add(
    "dense",
    name,
    (x,),
    (*x.shape[:-1], kernel.shape[-1]),
    x.time,
    x.strips,
    weights=plan_lib.Weights(kernel),
    bias=build.array(bias) if build.has_array(bias) else None,
  )
