"""The rules that networks declare, read in both directions."""

import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax.models import gaitbase
from gaitkd_jax.models import opengait_keys
from gaitkd_jax.opengait import rules
from tests.helpers import networks
from tests.parity import vectors

KINDS = models.known_kinds()


@pytest.mark.parametrize("kind", KINDS)
def test_every_array_has_one_place(kind):
  config = dict(KINDS[kind])
  if "num_classes" in models.config_keys(config["name"]):
    config["num_classes"] = 3
  module = networks.smoke(config)
  places = rules.places(module, config["name"])
  arrays = vectors.flat(networks.random_variables(module))
  assert sorted(place.path for place in places.values()) == sorted(arrays)
  for place in places.values():
    value = arrays[place.path]
    assert place.shape == value.shape and place.parts >= sum(module.bins)
    there = rules.to_opengait(value, place)
    back = rules.from_opengait(there, place)
    np.testing.assert_array_equal(back, value)


@pytest.mark.parametrize(
  "layout, shape, index",
  [
    ("same", (2, 3), (...,)),
    ("kernel", (3, 5, 2, 4), (...,)),
    ("spatial", (3, 5, 2, 4), (..., None, slice(None), slice(None))),
    ("temporal", (3, 1, 2, 4), (..., None)),
  ],
)
def test_axes_by_hand(layout, shape, index):
  place = rules.Place("params/x", layout, shape, 2, {})
  value = np.arange(np.prod(shape)).reshape(shape)
  there = rules.to_opengait(value, place)
  expected = value if layout == "same" else value.transpose(3, 2, 0, 1)
  np.testing.assert_array_equal(there, expected[index])
  np.testing.assert_array_equal(rules.from_opengait(there, place), value)


def test_a_neck_has_channels_before_parts():
  place = rules.Place("params/x", "neck", (6,), 2, {})
  value = np.array(["p0c0", "p0c1", "p0c2", "p1c0", "p1c1", "p1c2"])
  there = rules.to_opengait(value, place)
  assert there.tolist() == ["p0c0", "p1c0", "p0c1", "p1c1", "p0c2", "p1c2"]
  assert rules.from_opengait(there, place).tolist() == value.tolist()


class Unknown(gaitbase.GaitBase):
  @property
  def opengait_rules(self):
    return ()


class Forgetful(gaitbase.GaitBase):
  @property
  def opengait_rules(self):
    return opengait_keys.HEAD


@pytest.mark.parametrize(
  "network, words",
  [
    (Unknown(), "model gaitbase has no counterpart in OpenGait"),
    (Forgetful(), "stage1_block0/.* has no counterpart in OpenGait"),
  ],
)
def test_what_opengait_lacks(network, words):
  small = network.clone(**network.smoke_size)
  with pytest.raises(errors.UserError, match=words):
    rules.places(small, "gaitbase")
