"""FoundationGait against the PyTorch reference, and what is pre-trained."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax import losses
from gaitkd_jax import models
from gaitkd_jax.models import foundationgait
from gaitkd_jax.opengait import convert
from tests.helpers import networks
from tests.parity import vectors
from tests.parity import weights

SMALL = dict(name="foundationgait", channels=(2, 2, 4, 4), blocks=(1,) * 4)


@pytest.fixture(scope="module")
def vector():
  arrays, meta = vectors.load("foundationgait")
  config = vectors.model_config(meta["model_cfg"])
  state = weights.state_dict(meta["state"], meta["salt"])
  variables = convert.variables_from_opengait(state, config)
  return arrays, config, state, variables


def silhouettes(arrays):
  return jnp.asarray(arrays["input/silhouettes"], jnp.float32)


def close(ours, reference):
  """Whether the reference's `[n, c, p]` is met."""
  return vectors.difference(np.swapaxes(ours, 1, 2), reference) < 1e-4


def test_evaluation(vector):
  arrays, config, _, variables = vector
  apply = jax.jit(models.create_model(config).apply)
  x = silhouettes(arrays)
  out = apply(variables, x, jnp.full(4, 10))
  assert close(out["retrieval"], arrays["eval/embed"])
  assert close(out["embedding"], arrays["eval/embed"])
  assert close(out["logits"], arrays["eval/logits"])
  np.testing.assert_allclose(
    jnp.linalg.norm(out["projection"], axis=-1), 1.0, rtol=1e-5
  )
  padded = x.at[0, 7:].set(jnp.nan)
  out = apply(variables, padded, jnp.array([7, 10, 10, 10]))
  assert close(out["retrieval"][:1], arrays["eval/embed_len7"])


@pytest.mark.slow
def test_training_step(vector):
  """The reference's cross entropy of every part against label i mod k."""
  arrays, config, state, variables = vector
  module, x = models.create_model(config), silhouettes(arrays)
  labels = jnp.arange(4) % config["num_classes"]

  @jax.jit
  @functools.partial(jax.value_and_grad, has_aux=True)
  def step(params):
    out, updated = module.apply(
      {**variables, "params": params}, x, train=True, mutable=["batch_stats"]
    )
    return losses.cross_entropy_loss(out["logits"], labels), (out, updated)

  (loss, (out, updated)), grads = step(variables["params"])
  assert vectors.difference(loss, arrays["train/cross_entropy"]) < 1e-4
  assert close(out["embedding"], arrays["train/embed"])
  assert close(out["logits"], arrays["train/logits"])
  # Gradients and statistics by the reference's names.
  found = convert.variables_to_opengait({"params": grads, **updated}, config)
  norms = {k: v for k, v in arrays.items() if k.startswith("gradnorm/")}
  assert len(norms) == len(jax.tree.leaves(grads)) == 64
  for key, norm in norms.items():
    value = np.linalg.norm(found[key.removeprefix("gradnorm/")])
    np.testing.assert_allclose(value, norm, rtol=1e-4, err_msg=key)
  statistics = {
    key.removeprefix("stats/"): value
    for key, value in arrays.items()
    if key.startswith("stats/")
  }
  unused = {key for key in statistics if ".predictor." in key}
  assert len(unused) == 2 and len(statistics) == 44
  for key, value in statistics.items():
    if key in unused:
      np.testing.assert_array_equal(value, state[key])
    else:
      assert vectors.difference(found[key], value) < 1e-4, key


def pooled(image):
  """The strips of a pyramid: `[n, c, h, w]` to `[n, c, p]`."""
  parts = []
  for count in (16, 8, 4, 2, 1):
    strips = image.reshape(*image.shape[:2], count, -1)
    parts.append(strips.mean(-1) + strips.max(-1))
  return np.concatenate(parts, axis=-1)


def part_layers(state, key, x):
  """OpenGait's projector or predictor: `[n, c, p]` to `[n, c, p]`."""

  def normalised(x, key):
    scale, bias, mean, var = (
      state[f"{key}.{name}"]
      for name in ("weight", "bias", "running_mean", "running_var")
    )
    flat = x.reshape(len(x), -1)
    flat = (flat - mean) / np.sqrt(var + 1e-5) * scale + bias
    return flat.reshape(x.shape)

  def linear(x, key):
    return np.einsum("ncp,pcd->ndp", x, state[f"{key}.fc_bin"])

  x = normalised(linear(x, f"{key}.0"), f"{key}.1.bn1d")
  x = linear(np.maximum(x, 0), f"{key}.3")
  last = f"{key}.4.bn1d"
  return normalised(x, last) if f"{last}.weight" in state else x


def unit(x):
  return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_the_pretrained_network_gives_what_its_predictor_says(vector):
  arrays, config, state, _ = vector
  config = config | dict(embedding_dim=0, num_classes=0)
  state = {k: v for k, v in state.items() if k.startswith("teacher_backbone.")}
  module = models.create_model(config)
  assert module.width == 32
  learner = {"student_backbone.layer0.x": np.zeros(3)}
  variables = convert.variables_from_opengait(state | learner, config)
  out = jax.jit(module.apply)(variables, silhouettes(arrays)[:2, :3])
  assert "logits" not in out
  image = np.asarray(out["set"], np.float64).transpose(0, 3, 1, 2)
  projected = part_layers(state, "teacher_backbone.projector", pooled(image))
  predicted = part_layers(state, "teacher_backbone.predictor", projected)
  assert close(out["projection"], unit(projected))
  assert close(out["retrieval"], unit(predicted))
  # Nothing of the predictor is lost on the way back.
  back = convert.variables_to_opengait(variables, config)
  assert {k for k, v in back.items() if v.dtype == np.float32} == state.keys()
  for key, value in state.items():
    np.testing.assert_array_equal(back[key], value)


def test_strips_of_other_pyramids():
  module = models.create_model(SMALL | dict(bins=(4, 1), num_classes=3))
  x = networks.clips(module, n=2, s=2)
  out = jax.eval_shape(module.apply, networks.random_variables(module), x)
  assert out["projection"].shape == (2, 5, 4)
  assert out["embedding"].shape == (2, 5, 256)
  assert out["logits"].shape == (2, 5, 3)


@pytest.mark.parametrize(
  "change, words",
  [
    (dict(bins=(16, 3)), "bins of foundationgait is .* 1, 2, 4, 8, 16"),
    (dict(embedding_dim=-1), "0 .the pre-trained network, without a head. or"),
    (dict(embedding_dim=0, num_classes=3), "there are 3 classes; give"),
    (dict(parts=16), "no key parts"),
    (dict(mode="3d"), "no key mode"),
  ],
)
def test_bad_configs(change, words):
  with pytest.raises(errors.UserError, match=words) as caught:
    models.create_model(SMALL | change)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
  "path, rate",
  [
    ("stem/kernel", 0.0),
    ("stage1_block0/conv1/norm/scale", 0.0),
    ("stage2_block3/temporal/kernel", 0.0),
    ("stage3_block7/conv2/kernel", 0.01),
    ("stage4_block0/shortcut/kernel", 0.05),
    ("projector/norm2/bias", 0.1),
    ("predictor/fc1/kernel", 0.1),
    ("fc/kernel", 1.0),
    ("neck/bn/scale", 1.0),
  ],
)
def test_how_fast_what_learns(path, rate):
  """OpenGait's backbone_lr and projector_lr over its lr of 0.1."""
  assert foundationgait.fine_tuning(path.split("/")) == (rate, True)
