"""Networks are told by the keys and shapes of their weights."""

import numpy as np
import pytest

from gaitkd_jax import models
from gaitkd_jax.opengait import config as opengait_config
from gaitkd_jax.opengait import inference
from gaitkd_jax.opengait import rules
from tests.parity import vectors

GAITGL = dict(name="gaitgl", in_channels=1, retrieval="embedding")
# Beside the networks of the vectors, those that differ in their layers.
OTHERS = {
  "skeletongait": dict(mode="p3d", channels=(4, 8, 12, 16), in_channels=2),
  "four blocks": dict(mode="p3d", channels=(4, 8, 12, 16), blocks=(1, 4, 4, 1)),
  "no classes": dict(mode="3d", channels=(4, 8, 12, 16), num_classes=0),
  "eight parts": dict(mode="2d", channels=(4, 8, 12, 16), parts=8),
  "no last stage": dict(
    mode="2d", channels=(4, 8, 12, 12), blocks=(0, 1, 1, 0)
  ),
}
HEADS = {
  "classifier": dict(channels=(4, 8, 16), variant="casiab", neck=False),
  "neck": dict(channels=(4, 8, 16), variant="casiab", neck=True),
  "large": dict(channels=(4, 8, 12, 16), variant="large", neck=False),
  "large neck": dict(channels=(4, 8, 12, 16), variant="large", neck=True),
}


def shapes_of(config):
  """The shapes of OpenGait's arrays of a network."""
  places = rules.places(models.create_model(config), config["name"])
  return {
    key: rules.to_opengait(np.zeros(place.shape, np.float32), place).shape
    for key, place in places.items()
  }


@pytest.mark.parametrize("name", (*vectors.NETWORKS, "foundationgait"))
def test_published_families(name):
  _, meta = vectors.load(name)
  shapes = {key: tuple(shape) for key, shape in meta["state"].items()}
  expected = opengait_config.model_config_from_opengait(meta["model_cfg"])
  assert inference.model_config(shapes) == expected


@pytest.mark.parametrize("name", OTHERS)
def test_deepgaitv2(name):
  usual = dict(num_classes=5, blocks=(1, 1, 1, 1), in_channels=1)
  config = dict(
    name="deepgaitv2", retrieval="embedding", **usual | OTHERS[name]
  )
  assert inference.model_config(shapes_of(config)) == config


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("classes", [0, 5])
def test_gaitgl(name, classes):
  config = GAITGL | HEADS[name] | dict(num_classes=classes)
  if not classes:
    config["neck"] = False  # without classes there is nothing behind the parts
  assert inference.model_config(shapes_of(config)) == config


def test_other_kinds():
  config = dict(
    name="gaitpart",
    channels=(4, 8, 12, 16),
    embedding_dim=7,
    variant="large",
    in_channels=1,
  )
  assert inference.model_config(shapes_of(config)) == config
  config = dict(
    name="gaitbase_plain",
    channels=(4, 8, 12),
    halvings=0,
    bins=(8, 2),
    embedding_dim=7,
    num_classes=0,
    in_channels=1,
    retrieval="embedding",
  )
  assert inference.model_config(shapes_of(config)) == config


@pytest.mark.parametrize("embedding_dim", [0, 7])
def test_foundationgait(embedding_dim):
  config = dict(
    name="foundationgait",
    channels=(2, 4, 6, 8),
    blocks=(1, 2, 3, 2),
    bins=(8, 1),
    embedding_dim=embedding_dim,
    num_classes=embedding_dim,
    in_channels=1,
    retrieval="embedding",
  )
  assert inference.model_config(shapes_of(config)) == config


@pytest.mark.parametrize(
  "shapes, words",
  [
    ({}, "arrays such as nothing"),
    ({"Backbone.x": (1,), "b": (2,)}, "arrays such as Backbone.x, b"),
    ({"layer0.forward_block.0.weight": (4, 1, 3, 3)}, "is missing"),
    ({"conv3d.0.conv3d.weight": (4, 1)}, "has shape [4, 1]"),
    ({"conv3d.0.conv3d.weight": (2**40, 1, 0, 3, 3)}, "has shape [10995116"),
    (
      {f"transformer.layers.0.blocks.{i}.x": (1,) for i in range(201)}
      | {"transformer.patch_embed.proj.weight": (16, 8, 1, 2, 2)}
      | {"layer0.forward_block.0.weight": (4, 1, 3, 3)}
      | {"layer2.0.conv1.forward_block.0.weight": (8, 4, 3, 3)},
      "201 blocks",
    ),
  ],
)
def test_other_networks(shapes, words):
  with pytest.raises(inference.UnsupportedError) as caught:
    inference.model_config(shapes)
  assert words in str(caught.value)


def test_names_that_say_otherwise():
  config = dict(name="deepgaitv2", mode="3d", in_channels=1)
  assert not inference.disagreements(config, "DeepGaitV2", "DeepGaitV2")
  assert not inference.disagreements(config, "DeepGaitV2", "Deep_3d_x")
  told = inference.disagreements(config, "Baseline", "SkeletonGait-p3d")
  assert told == [
    "the folder says Baseline, the weights are of DeepGaitV2",
    "the name SkeletonGait-p3d says mode p3d, the weights have 3d",
    "the name SkeletonGait-p3d says in_channels 2, the weights have 1",
  ]
  config = dict(name="foundationgait", embedding_dim=0)
  finetuned = "FoundationGait_Scaling_Finetune"
  assert not inference.disagreements(config, "FoundationGait_Scaling", "x")
  assert inference.disagreements(config, finetuned, "x") == [
    f"the folder says {finetuned}, the weights are of FoundationGait_Scaling"
  ]
  config["embedding_dim"] = 256
  assert not inference.disagreements(config, finetuned, "x")
  config = dict(name="gaitgl", neck=False)
  told = inference.disagreements(config, "GaitGL", "GaitGL_BNNeck")
  assert told == [
    "the name GaitGL_BNNeck says neck True, the weights have False"
  ]
