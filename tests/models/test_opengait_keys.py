"""Rules of layers that networks share."""

import numpy as np
import pytest

from gaitkd_jax.models import opengait_keys


def by_path(rules):
  return {rule.path: rule for rule in rules}


def test_statistics_have_a_counter_beside_them():
  rules = by_path(opengait_keys.norm("BN", "stem/norm", "neck"))
  assert {rule.layout for rule in rules.values()} == {"neck"}
  assert rules["params/stem/norm/scale"].key == "BN.weight"
  assert rules["batch_stats/stem/norm/mean"].beside == {}
  variance = rules["batch_stats/stem/norm/var"]
  assert variance.key == "BN.running_var"
  counter = variance.beside["num_batches_tracked"]
  assert counter == 0 and counter.dtype == np.int64


def test_layers_and_stages():
  (rule,) = opengait_keys.conv("layer", "stem", "spatial")
  assert rule[:3] == ("layer.weight", "params/stem/kernel", "spatial")
  kernel, bias = opengait_keys.linear("fc", "fc1")
  assert kernel[:3] == ("fc.weight", "params/fc1/kernel", "kernel")
  assert bias[:3] == ("fc.bias", "params/fc1/bias", "same")
  first, second = opengait_keys.leaky_stage("block", "stage2", 5)
  assert first[:2] == ("block.5.conv.weight", "params/stage2_conv1/kernel")
  assert second.key == "block.7.conv.weight"


@pytest.mark.parametrize(
  "kind, conv, norm, shortcut",
  [
    ("frames", "L.{block}.conv1", "L.{block}.bn1", "kernel"),
    (
      "2d",
      "L.forward_block.{block}.conv1",
      "L.forward_block.{block}.bn1",
      "kernel",
    ),
    (
      "p3d",
      "L.{block}.conv1.forward_block.0",
      "L.{block}.conv1.forward_block.1",
      "spatial",
    ),
    ("3d", "L.{block}.conv1", "L.{block}.bn1", "spatial"),
  ],
)
def test_residual_stages(kind, conv, norm, shortcut):
  rules = by_path(opengait_keys.residual_stage("L", "stage3", kind))
  path = "stage3_block{block}"
  assert rules[f"params/{path}/conv1/kernel"].key == f"{conv}.weight"
  assert rules[f"params/{path}/conv1/norm/bias"].key == f"{norm}.bias"
  assert rules[f"params/{path}/shortcut/kernel"].layout == shortcut
  assert (f"params/{path}/temporal/kernel" in rules) == (kind == "p3d")


def test_stages_of_deepgaitv2():
  first = by_path(opengait_keys.first_stage("sil_", "silhouette_"))
  stem = first["params/silhouette_stem/kernel"]
  assert stem.key == "sil_layer0.forward_block.0.weight"
  later = by_path(opengait_keys.later_stages("3d", (2, 4)))
  stages = {path.split("/")[1].split("_")[0] for path in later}
  assert stages == {"stage2", "stage4"}
