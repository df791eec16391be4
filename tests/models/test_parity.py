"""The networks against the PyTorch reference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import losses
from gaitkd_jax import models
from tests.parity import vectors


@pytest.fixture(params=vectors.NETWORKS, scope="module")
def vector(request):
  arrays, meta = vectors.load(request.param)
  config = vectors.model_config(meta["model_cfg"])
  variables = vectors.variables(config, meta["state"], meta["salt"])
  return arrays, meta, models.create_model(config), variables


def silhouettes(arrays):
  x = jnp.asarray(arrays["input/silhouettes"], jnp.float32)
  return x if x.ndim == 4 else jnp.moveaxis(x, 2, -1)


def parts_first(x):
  return np.swapaxes(x, 1, 2)


def test_evaluation(vector):
  arrays, _, module, variables = vector
  out = jax.jit(module.apply)(variables, silhouettes(arrays))
  for name, key in (
    ("retrieval", "embed"),
    ("embedding", "triplet"),
    ("logits", "logits"),
  ):
    assert (name in out) == (f"eval/{key}" in arrays)
    if name in out:
      expected = parts_first(arrays[f"eval/{key}"])
      assert vectors.difference(out[name], expected) < 1e-4


def test_cut_and_padded_sequences(vector):
  arrays, _, module, variables = vector
  apply = jax.jit(module.apply)
  x = silhouettes(arrays)
  for key in (k for k in arrays if k.startswith("eval/embed_len")):
    length = int(key.removeprefix("eval/embed_len"))
    cut = apply(variables, x[:1, :length])["retrieval"]
    assert vectors.difference(cut, parts_first(arrays[key])) < 1e-4
    padded = x[:1].at[:, length:].set(jnp.nan)
    padded = apply(variables, padded, jnp.array([length]))["retrieval"]
    assert vectors.difference(padded, cut) < 1e-5


def loss_and_outputs(module, variables, x, labels, lengths=None):
  def loss_fn(params, x, lengths):
    out, updated = module.apply(
      {**variables, "params": params},
      x,
      lengths,
      train=True,
      mutable=["batch_stats"],
    )
    triplet = losses.triplet_loss(out["embedding"], labels)
    cross_entropy = jnp.zeros([])
    if "logits" in out:
      cross_entropy = losses.cross_entropy_loss(out["logits"], labels)
    return triplet + cross_entropy, (out, updated, triplet, cross_entropy)

  step = jax.jit(jax.value_and_grad(loss_fn, has_aux=True))
  return step(variables["params"], x, lengths)


@pytest.fixture(scope="module")
def trained(vector):
  arrays, _, module, variables = vector
  labels = jnp.asarray(arrays["input/labels"])
  return loss_and_outputs(module, variables, silhouettes(arrays), labels)


def nearby(params, seed):
  """Weights a millionth off, as much as rounding moves what they compute."""
  random = np.random.default_rng(seed)
  return jax.tree.map(
    lambda x: x * (1 + 1e-6 * random.standard_normal(x.shape, np.float32)),
    params,
  )


def gradients_off(vector, grads):
  """Which gradients are not the reference's, and how far they are off.

  Both sides are float32, and a rectifier or maximum near a tie may fall the
  other way, here or there. Against float64 the reference's single gradients are
  up to 6e-3 of the largest off, and GaitSet's up to 3.6e-2 by one tie alone:
  1.7697507 and 1.7697513 below the maximum of four pixels after stage 2. On the
  reference's side of it all are within 3e-5 in float64, too.
  """
  arrays, meta, _, _ = vector
  # The reference's own gradients, through the converter.
  config = vectors.model_config(meta["model_cfg"])
  template = {k: np.zeros(s, np.float32) for k, s in meta["state"].items()}
  convert = vectors.convert.variables_from_opengait
  grads = vectors.flat(grads)
  known = {k.removeprefix("grad/") for k in arrays if k.startswith("grad/")}
  expected = vectors.flat(
    convert(
      {k: arrays.get(f"grad/{k}", v) for k, v in template.items()}, config
    )["params"]
  )
  norms = {k: v for k, v in arrays.items() if k.startswith("gradnorm/")}
  # A parameter's place is found by converting a state of numbers.
  numbered = {
    k: np.full_like(v, i) for i, (k, v) in enumerate(template.items())
  }
  numbered = vectors.flat(convert(numbered, config)["params"])
  keys = list(template)
  paths = {keys[int(v.flat[0])]: path for path, v in numbered.items()}
  assert len(paths) == len(norms) == len(grads)
  largest = max(norms.values())
  off = {}
  for key, norm in norms.items():
    key = key.removeprefix("gradnorm/")
    path = paths[key]
    # A bias that batch normalisation takes out again has no gradient but
    # rounding.
    value = np.linalg.norm(grads[path])
    if not abs(value - norm) < 1e-2 * norm + 1e-6 * largest:
      off[path] = "norm", value, norm
    if key in known:
      difference = vectors.difference(grads[path], expected[path])
      if not difference < 1e-2:
        off[path] = "gradient", difference
  return off


def test_training_forward_statistics_and_gradients(vector, trained):
  arrays, meta, module, variables = vector
  (total, (out, updated, triplet, cross_entropy)), grads = trained
  check = vectors.difference
  assert check(out["embedding"], parts_first(arrays["train/triplet"])) < 1e-4
  assert check(triplet, arrays["train/loss_triplet"].mean()) < 1e-4
  if "logits" in out:
    assert check(out["logits"], parts_first(arrays["train/logits"])) < 1e-4
    assert check(cross_entropy, arrays["train/loss_softmax"]) < 1e-4
  assert check(total, arrays["train/total"]) < 1e-4
  # The reference's own statistics, through the converter.
  config = vectors.model_config(meta["model_cfg"])
  template = {k: np.zeros(s, np.float32) for k, s in meta["state"].items()}
  convert = vectors.convert.variables_from_opengait
  statistics = convert(
    {k: arrays.get(f"stats/{k}", v) for k, v in template.items()},
    config,
  ).get("batch_stats", {})
  updated = vectors.flat(updated.get("batch_stats", {}))
  expected = vectors.flat(statistics)
  assert updated.keys() == expected.keys()
  for path in expected:
    assert check(updated[path], expected[path]) < 1e-4, path
  # The reference's sides of ties are found by moving the weights a little.
  off = gradients_off(vector, grads)
  for seed in range(1, 9):
    if not off:
      break
    moved = {**variables, "params": nearby(variables["params"], seed)}
    _, grads = loss_and_outputs(
      module, moved, silhouettes(arrays), jnp.asarray(arrays["input/labels"])
    )
    off = gradients_off(vector, grads)
  assert not off


@pytest.mark.slow
def test_training_on_padded_sequences_equals_packed_statistics(vector, trained):
  arrays, _, module, variables = vector
  x = silhouettes(arrays)
  labels = jnp.asarray(arrays["input/labels"])
  # NaN times 0 would show, also in a gradient.
  padded = jnp.concatenate([x, jnp.full_like(x[:, :2], jnp.nan)], axis=1)
  lengths = jnp.full([x.shape[0]], x.shape[1])
  (plain, (_, stats, *_)), grads = trained
  (masked, (_, masked_stats, *_)), masked_grads = loss_and_outputs(
    module, variables, padded, labels, lengths
  )
  assert vectors.difference(masked, plain) < 1e-5
  masked_stats, stats = vectors.flat(masked_stats), vectors.flat(stats)
  for path in stats:
    assert vectors.difference(masked_stats[path], stats[path]) < 1e-5, path
  # Ties again: in float64 all of these differ by less than 1e-12.
  masked_grads, grads = vectors.flat(masked_grads), vectors.flat(grads)
  norms = {path: np.linalg.norm(v) for path, v in grads.items()}
  off = {
    path: np.linalg.norm(masked_grads[path] - v) for path, v in grads.items()
  }
  for path, norm in norms.items():
    assert off[path] < 0.1 * norm + 1e-6 * max(norms.values()), path
  assert np.linalg.norm([*off.values()]) < 1e-2 * np.linalg.norm(
    [*norms.values()]
  )
