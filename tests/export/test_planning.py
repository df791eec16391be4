"""Which networks have a plan, and what it says."""

import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.export import networks
from gaitkd_jax.export import onnx_attention
from gaitkd_jax.export import onnx_layers
from gaitkd_jax.export import plan as plan_lib
from gaitkd_jax.export import planning
from gaitkd_jax.models import gaitset
from tests.helpers import exported
from tests.helpers import networks as networks_helper


class Stranger(gaitset.GaitSet):
  """Of a known class, but nobody knows what it changes."""


def test_a_network_without_a_plan_is_refused():
  with pytest.raises(errors.UserError) as e:
    planning.plan_of(Stranger(), {})
  text = str(e.value)
  assert text.startswith("Stranger has no plan of layers for other runtimes; ")
  for kind in networks.PLANNERS:
    assert kind.__name__ in text
  assert text.endswith("--target=stablehlo needs none")
  assert "\n" not in text


def test_every_layer_can_be_written():
  writers = [*onnx_layers.LAYERS, *onnx_attention.LAYERS]
  assert sorted(writers) == sorted(plan_lib.OPS)


def test_a_plan_as_text():
  module, variables = exported.settled("gaitpart")
  rows = plan_lib.describe(planning.plan_of(module, variables))
  assert rows[0] == ("input", "frames", "frames x 1x64x44", "")
  strips = ("stage2", "cut_strips", "frames x 4 strips x 4x8x22", "")
  assert strips in rows
  assert rows[-1] == ("fc", "linear", "sequences x 16x16", "float")


def test_a_pretrained_network_ends_with_its_predictor():
  module = networks_helper.smoke(dict(name="foundationgait", embedding_dim=0))
  variables = networks_helper.random_variables(module)
  plan = planning.plan_of(module, variables)
  # The predictor reads what the projector gives, not its direction.
  layers = {(layer.name, layer.op): layer for layer in plan.layers}
  last = layers["projector/norm2", "affine"]
  assert layers["predictor/fc1", "linear"].inputs == (last.output,)
  assert plan.layers[-1].op == "unit_length"
  assert plan.layers[-1].inputs == (layers["predictor/fc2", "linear"].output,)
  assert plan.layers[-1].output.shape == (31, 16)


def test_networks_without_normalisation_have_no_bias():
  module, variables = exported.settled("gaitpart")
  layers = planning.plan_of(module, variables).layers
  convolutions = [layer for layer in layers if layer.op == "convolve"]
  assert len(convolutions) == 6
  for layer in convolutions:
    kernel = variables["params"][layer.name]["kernel"]
    np.testing.assert_array_equal(
      layer.arguments["weights"].values, kernel.transpose(3, 2, 0, 1)
    )
    assert layer.arguments["bias"] is None
