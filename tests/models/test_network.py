"""What every registered network tells of itself, and that it is true."""

import dataclasses

from flax import errors as flax_errors
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import array_names
from gaitkd_jax import models
from gaitkd_jax.models import deepgaitv2
from gaitkd_jax.models import gaitbase
from gaitkd_jax.models import network
from gaitkd_jax.models import opengait_keys
from gaitkd_jax.models import swingait
from tests.helpers import networks

KINDS = models.known_kinds()
MEMBERS = ("bins", "temporal", "smoke_size", "encode")
_SMALL = 200_000  # parameters


def check_size(module):
  """The smoke size is made of config keys, is small and shrinks no further."""
  fields = {field.name for field in dataclasses.fields(module)}
  assert set(module.smoke_size) <= fields - {"dtype", "in_channels"}
  small = module.clone(**module.smoke_size)
  params = models.abstract_variables(small)["params"]
  assert sum(x.size for x in jax.tree.leaves(params)) < _SMALL
  assert small.smoke_size == module.smoke_size


def check_outputs(module):
  """Strips are parts, and the order of frames matters as the network says."""
  x = networks.clips(module, n=1, s=7)
  order = np.array([3, 0, 6, 1, 5, 2, 4])
  x = jnp.concatenate([x, x[:, order]])
  out = jax.jit(module.apply)(networks.random_variables(module), x)
  assert {"embedding", "retrieval", "set"} <= out.keys()
  assert ("logits" in out) == bool(module.num_classes)
  embedding = out["embedding"]
  assert embedding.shape[:2] == (2, sum(module.bins))
  for key in ("embedding", "retrieval"):
    assert out[key].dtype == jnp.float32 and out[key].ndim == 3
  np.testing.assert_array_equal(out["retrieval"], out[module.retrieval])
  difference = float(jnp.abs(embedding[0] - embedding[1]).max())
  difference /= float(jnp.abs(embedding).max())
  assert difference > 1e-3 if module.temporal else difference < 1e-5


def check_randomness(module):
  """Training asks for all declared random streams and for no other."""
  variables = models.abstract_variables(module)
  x = networks.clips(module, n=1, s=3)

  def train(variables, names):
    rngs = {name: jax.random.key(0) for name in names}
    return module.apply(
      variables, x, train=True, mutable=["batch_stats"], rngs=rngs
    )

  declared = module.rng_streams
  jax.eval_shape(lambda v: train(v, declared), variables)
  for missing in declared:
    others = [name for name in declared if name != missing]
    with pytest.raises(flax_errors.InvalidRngError, match=missing):
      jax.eval_shape(lambda v, others=others: train(v, others), variables)
  # An evaluation draws nothing.
  jax.eval_shape(lambda v: module.apply(v, x), variables)


def check_parameters(module):
  """Groups know every parameter; rules are rules; modules exist."""
  params = models.abstract_variables(module)["params"]
  for name, group in module.optimizer_groups.items():
    assert name
    rates = set()
    for path, _ in jax.tree.leaves_with_path(params):
      rate, decays = group([key.key for key in path])
      assert rate >= 0 and isinstance(decays, bool)
      rates.add(rate)
    assert max(rates) > 0  # some may stay as they are
  # None has a name of before, which checkpoints are read under.
  for name in array_names.shapes(models.abstract_variables(module)):
    assert array_names.current(name) == name
  rules = module.opengait_rules
  assert all(isinstance(rule, opengait_keys.Rule) for rule in rules)
  assert params.keys() >= set(module.expanded_modules)


CHECKS = (check_size, check_outputs, check_randomness, check_parameters)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_what_a_network_tells_is_true(kind, check):
  module = models.create_model(KINDS[kind])
  check(module if check is check_size else networks.smoke(KINDS[kind]))


@pytest.mark.parametrize("name", models.MODELS)
def test_all_networks_are_called_in_one_way(name):
  model = models.MODELS[name]
  assert issubclass(model, network.GaitNetwork)
  assert "__call__" not in vars(model)
  assert model.__call__.__doc__ == network.GaitNetwork.__call__.__doc__
  for kind, values in model.kinds.items():
    assert kind and set(values) <= models.config_keys(name)
  assert model.config_checks.keys() >= network.GaitNetwork.config_checks.keys()


@pytest.mark.parametrize("member", MEMBERS)
def test_a_network_without_a_member_cannot_be_built(member):
  missing = vars(network.GaitNetwork)[member]
  silent = type("Silent", (gaitbase.GaitBase,), {member: missing})
  with pytest.raises(TypeError, match=f"abstract.*{member}"):
    silent()


class WrongStrips(gaitbase.GaitBase):
  def describe(self, x, train):
    return super().describe(x[:, 1:], train)


class WrongOrder(gaitbase.GaitBase):
  @property
  def temporal(self):
    return True


class HiddenOrder(deepgaitv2.DeepGaitV2):
  @property
  def temporal(self):
    return False


class HiddenDraws(swingait.SwinGait):
  @property
  def rng_streams(self):
    return ()


class IdleStream(swingait.SwinGait):
  @property
  def rng_streams(self):
    return ("dropout", "noise")


class LargeTrial(gaitbase.GaitBase):
  @property
  def smoke_size(self):
    return {"channels": self.channels}


class UnknownKey(gaitbase.GaitBase):
  @property
  def smoke_size(self):
    return {"depth": 1}


class IdleGroup(gaitbase.GaitBase):
  optimizer_groups = {
    "half": lambda path: network.ParameterGroup(0.0, decays=True)
  }


@pytest.mark.slow
@pytest.mark.parametrize(
  "broken, check, failure",
  [
    (WrongStrips, check_outputs, AssertionError),
    (WrongOrder, check_outputs, AssertionError),
    (HiddenOrder, check_outputs, AssertionError),
    (HiddenDraws, check_randomness, flax_errors.InvalidRngError),
    (IdleStream, check_randomness, pytest.fail.Exception),
    (LargeTrial, check_size, AssertionError),
    (UnknownKey, check_size, AssertionError),
    (IdleGroup, check_parameters, AssertionError),
  ],
)
def test_what_is_not_true_is_found(broken, check, failure):
  module = broken()
  if check is not check_size:
    module = module.clone(**module.smoke_size)
  with pytest.raises(failure):
    check(module)


@pytest.mark.parametrize("kind", models.known_kinds())
def test_bfloat16_keeps_the_direction_of_every_embedding(kind):
  config = {**models.known_kinds()[kind]}
  module = networks.smoke(config)
  narrow = models.create_model({**config, **module.smoke_size}, "bfloat16")
  variables, x = networks.random_variables(module), networks.clips(module)[5:]
  a, b = (
    np.asarray(jax.jit(network.apply)(variables, x)["embedding"])
    for network in (module, narrow)
  )
  cosine = np.sum(a * b, axis=-1)
  cosine /= np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
  assert cosine.min() > 0.999
