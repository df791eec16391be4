"""SwinGait's transformer against its definition, a window at a time."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax.models import swin

HEIGHT, WIDTH, DIM = 15, 10, 32
LENGTHS = (1, 2, 3, 4, 6, 8)


def slices(size, window, shift):
  """Region of every place along one axis."""
  region = np.zeros(size, int)
  for i, piece in enumerate(
    (slice(-window), slice(-window, -shift), slice(-shift, None))
  ):
    region[piece] = i
  return region


def attention_by_hand(x, params, shifted):
  """Window attention of one sequence `[s, h, w, c]`, from the definition."""
  heads = DIM // 16
  shape = np.array(x.shape[:3])
  window = np.minimum(shape, swin.WINDOW)
  shift = np.where(shape <= swin.WINDOW, 0, swin.SHIFT) * shifted
  padded = -(-shape // window) * window
  tokens = np.zeros((*padded, DIM))
  tokens[: shape[0]] = x
  tokens = np.roll(tokens, -shift, axis=(0, 1, 2))
  qkv = tokens @ params["qkv"]["kernel"] + params["qkv"]["bias"]
  regions = np.stack(
    np.meshgrid(*map(slices, padded, window, shift), indexing="ij"), -1
  )
  out = np.zeros_like(tokens)
  for corner in itertools.product(*map(range, padded // window)):
    box = tuple(
      slice(i * size, (i + 1) * size)
      for i, size in zip(corner, window, strict=True)
    )
    q, k, v = np.split(qkv[box].reshape(-1, 3 * DIM), 3, axis=-1)
    place = np.stack(np.meshgrid(*map(np.arange, window), indexing="ij"), -1)
    place, region = place.reshape(-1, 3), regions[box].reshape(-1, 3)
    row = (place[:, None] - place[None] + (2, 2, 4)) @ (45, 9, 1)
    bias = params["bias_table"][row]
    apart = (region[:, None] != region[None]).any(-1)
    columns = []
    for head in range(heads):
      channels = slice(16 * head, 16 * head + 16)
      score = q[:, channels] @ k[:, channels].T / 4 + bias[..., head]
      if shifted:
        score = score - 100.0 * apart
      weight = np.exp(score - score.max(-1, keepdims=True))
      weight /= weight.sum(-1, keepdims=True)
      columns.append(weight @ v[:, channels])
    out[box] = np.concatenate(columns, -1).reshape(out[box].shape)
  out = out @ params["proj"]["kernel"] + params["proj"]["bias"]
  return np.roll(out, shift, axis=(0, 1, 2))[: shape[0]]


@pytest.mark.parametrize("shifted", [False, True])
def test_attention_by_hand(shifted):
  rng = np.random.default_rng(0)
  block = swin.Block(shifted, drop_path_rate=0.0)
  x = rng.standard_normal((len(LENGTHS), 9, HEIGHT, WIDTH, DIM))
  x = jnp.asarray(x, jnp.float32)

  def apply(variables, x):
    where = swin.layout(jnp.array(LENGTHS), x.shape[1:4])
    return block.apply(variables, x, where, train=False)

  def init(key):
    where = swin.layout(jnp.array(LENGTHS), x.shape[1:4])
    return block.init(key, x, where, train=False)["params"]

  params = jax.tree.map(
    lambda leaf: 0.3 * rng.standard_normal(leaf.shape),
    jax.eval_shape(init, jax.random.key(0)),
  )
  # Attention alone: the perceptron adds nothing.
  params["fc2"] = jax.tree.map(np.zeros_like, params["fc2"])
  out = jax.jit(apply)({"params": params}, x)
  x = np.asarray(x, np.float64)
  normal = (x - x.mean(-1, keepdims=True)) / np.sqrt(
    x.var(-1, keepdims=True) + 1e-5
  )
  normal = normal * params["norm1"]["scale"] + params["norm1"]["bias"]
  for i, length in enumerate(LENGTHS):
    expected = x[i, :length] + attention_by_hand(
      normal[i, :length], params["attention"], shifted
    )
    np.testing.assert_allclose(out[i, :length], expected, atol=2e-5)


def test_dropped_paths():
  x = jnp.ones((4000, 2, 3))
  module = swin.DropPath(0.25)
  out = module.apply({}, x, train=True, rngs={"dropout": jax.random.key(0)})
  assert set(np.unique(out)) == {0.0, np.float32(1 / 0.75)}
  # One draw a sequence, and nothing is lost on average.
  np.testing.assert_array_equal(out, jnp.broadcast_to(out[:, :1, :1], x.shape))
  assert abs(float(out.mean()) - 1) < 0.03
  np.testing.assert_array_equal(module.apply({}, x, train=False), x)
  np.testing.assert_array_equal(swin.DropPath(0.0).apply({}, x, train=True), x)
