"""OpenGait's YAML: every family, and what is refused."""

import numpy as np
import pytest
import yaml

from gaitkd_jax import config as config_lib
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax.opengait import config as opengait_config
from tests.parity import vectors

BASELINE = """
data_cfg:
  dataset_name: CASIA-B
  test_dataset_name: CASIA-B
loss_cfg:
  - {loss_term_weight: 1.0, margin: 0.2, type: TripletLoss, log_prefix: triplet}
model_cfg:
  model: Baseline
  backbone_cfg:
    type: ResNet9
    block: BasicBlock
    channels: # Layers configuration for automatically model construction
      - 64
      - 128
      - 256
      - 512
    layers: [1, 1, 1, 1]
    strides: [1, 2, 2, 1]
    maxpool: false
  SeparateFCs:
    in_channels: 512
    out_channels: 256
    parts_num: 16
  SeparateBNNecks:
    class_num: 74
    in_channels: 256
    parts_num: 16
  bin_num:
    - 16
"""
PLAIN = """
data_cfg: {dataset_name: HID}
model_cfg:
  model: Baseline
  backbone_cfg:
    in_channels: 1
    layers_cfg: # Layers configuration for automatically model construction
      [BC-64, BC-64, M, BC-128, BC-128, M, BC-256, BC-256, M, BC-512, BC-512]
    type: Plain
  SeparateFCs: {in_channels: 512, out_channels: 256, parts_num: 31}
  SeparateBNNecks: {class_num: 500, in_channels: 256, parts_num: 31}
  bin_num: [16, 8, 4, 2, 1]
"""
PLAIN_CASIAB = """
model_cfg:
  model: Baseline
  backbone_cfg:
    in_channels: 1
    layers_cfg: [BC-64, BC-64, M, BC-128, BC-128, M, BC-256, BC-256]
    type: Plain
  SeparateFCs: {in_channels: 256, out_channels: 256, parts_num: 31}
  SeparateBNNecks: {class_num: 74, in_channels: 256, parts_num: 31}
  bin_num: [16, 8, 4, 2, 1]
"""
# Four stages and two halvings, one level of strips.
PLAIN_GREW = """
model_cfg:
  model: Baseline
  backbone_cfg:
    in_channels: 1
    layers_cfg:
      [BC-32, BC-32, M, BC-64, BC-64, M, BC-128, BC-128, BC-256, BC-256]
    type: Plain
  SeparateFCs: {in_channels: 256, out_channels: 256, parts_num: 16}
  SeparateBNNecks: {class_num: 20000, in_channels: 256, parts_num: 16}
  bin_num: [16]
"""
DEEPGAITV2 = """
model_cfg:
  model: DeepGaitV2
  Backbone:
    in_channels: 1
    mode: p3d
    layers: [1, 4, 4, 1]
    channels: [64, 128, 256, 512]
  SeparateBNNecks:
    class_num: 3000
"""
SKELETONGAIT = DEEPGAITV2.replace("in_channels: 1", "in_channels: 2").replace(
  "class_num: 3000", "class_num: 3000\n  use_emb2: true"
)
SKELETONGAITPP = """
model_cfg:
  model: SkeletonGaitPP
  Backbone:
    in_channels: 3
    blocks: [1, 4, 4, 1]
    C: 2
  SeparateBNNecks:
    class_num: 3000
  use_emb2: false
"""
SWINGAIT = """
model_cfg:
  model: SwinGait
  Backbone:
    mode: p3d
    in_channels: 1
    layers: [1, 4, 4, 2]
    channels: [64, 128]
  bin_num: [15]
  SeparateBNNecks:
    class_num: 3000
    in_channels: 256
    parts_num: 16
"""
GAITSET = """
model_cfg:
  model: GaitSet
  in_channels: [1, 64, 128, 256]
  SeparateFCs: {in_channels: 256, out_channels: 256, parts_num: 62}
  bin_num: [16, 8, 4, 2, 1]
"""
GAITPART = """
model_cfg:
  model: GaitPart
  backbone_cfg:
    in_channels: 1
    layers_cfg: [BC-32, BC-32, M, FC-64-2, FC-64-2, M, FC-128-3, FC-128-3]
    type: Plain
  SeparateFCs: {in_channels: 128, out_channels: 128, parts_num: 16}
  bin_num: [16]
"""
GAITPART_LARGE = """
model_cfg:
  model: GaitPart
  backbone_cfg:
    in_channels: 1
    layers_cfg:
      [BC-32, BC-32, M, BC-64, BC-64, M, FC-128-3, FC-128-3, FC-256-3, FC-256-3]
    type: Plain
  SeparateFCs: {in_channels: 256, out_channels: 256, parts_num: 16}
  bin_num: [16]
"""
GAITGL = """
data_cfg: {dataset_name: CASIA-B}
model_cfg:
  model: GaitGL
  channels: [32, 64, 128]
  class_num: 74
"""
GAITGL_LARGE = """
data_cfg: {dataset_name: OUMVLP}
model_cfg:
  model: GaitGL
  channels: [32, 64, 128, 256]
  class_num: 5153
"""
GAITGL_NECK = """
data_cfg: {dataset_name: GREW}
model_cfg:
  model: GaitGL
  channels: [32, 64, 128, 256]
  SeparateBNNecks: {class_num: 20000, in_channels: 256, parts_num: 64}
"""

FOUNDATIONGAIT = """
model_cfg:
  model: FoundationGait_Scaling_Finetune
  crop_list: [2, 2, 2, 2, 1, 1, 1, 1]
  Backbone:
    mode: p3d
    in_channels: 1
    layers: [1, 4, 8, 4]
    channels: [64, 128, 256, 512]
  bin_num: [16, 8, 4, 2, 1]
  parts_num: 31
  SeparateFCs: {in_channels: 512, out_channels: 256, parts_num: 31}
  SeparateBNNecks: {class_num: 3000, in_channels: 256, parts_num: 31}
  backbone_lr: [0.0, 0.0, 0.0, 0.001, 0.005]
  projector_lr: 0.01
"""
FOUNDATIONGAIT_PRETRAINED = """
model_cfg:
  model: FoundationGait_Scaling
  Backbone:
    mode: p3d
    in_channels: 1
    layers: [1, 4, 32, 16]
    channels: [64, 128, 256, 512]
  bin_num: [16, 8, 4, 2, 1]
  parts_num: 31
  crop_list: [8, 4, 2, 1]
  EMA_value: 0.99
"""


def translate(text):
  return opengait_config.model_config_from_opengait(yaml.safe_load(text))


@pytest.mark.parametrize(
  "text, size",
  [
    (BASELINE, 7_305_408),
    (PLAIN, 12_730_432),
    (PLAIN_CASIAB, 3_779_136),
    (PLAIN_GREW, 84_148_000),
    (DEEPGAITV2, 25_492_160),
    (DEEPGAITV2.replace("p3d", "2d"), 23_718_592),
    (DEEPGAITV2.replace("p3d", "3d"), 41_855_680),
    (SKELETONGAIT, 25_492_736),
    (SKELETONGAITPP, 25_568_608),
    (SWINGAIT, 25_539_136),
    (FOUNDATIONGAIT, 77_337_792),
    (FOUNDATIONGAIT_PRETRAINED, 164_899_520),
    (GAITSET, 6_313_536),
    (GAITPART, 1_204_000),
    (GAITPART_LARGE, 4_841_248),
    (GAITGL, 3_096_673),
    (GAITGL_LARGE, 95_620_449),
  ],
)
def test_published_networks_have_their_size(text, size):
  module = models.create_model(translate(text))
  params = models.abstract_variables(module)["params"]
  assert sum(np.prod(x.shape) for x in leaves(params)) == size


def leaves(tree):
  for value in tree.values():
    if isinstance(value, dict):
      yield from leaves(value)
    else:
      yield value


@pytest.mark.parametrize("name", (*vectors.NETWORKS, "foundationgait"))
def test_vectors(name):
  _, meta = vectors.load(name)
  translated = opengait_config.model_config_from_opengait(meta["model_cfg"])
  expected = vectors.model_config(meta["model_cfg"])
  expected.pop("drop_path_rate", None)
  assert {key: translated[key] for key in expected} == expected


def test_same_keys_as_the_configs_have():
  for text, config in (
    (BASELINE, config_lib.gaitbase()),
    (PLAIN_CASIAB, config_lib.gaitbase_plain()),
    (DEEPGAITV2, config_lib.deepgaitv2(blocks=(1, 4, 4, 1), num_classes=3000)),
    (SKELETONGAITPP, config_lib.skeletongaitpp()),
    (SWINGAIT, config_lib.swingait()),
    (FOUNDATIONGAIT, config_lib.foundationgait()),
  ):
    # OpenGait has no recomputation.
    config = {k: v for k, v in config.to_dict().items() if k != "remat"}
    assert translate(text) == config


def test_what_is_searched():
  assert translate(SKELETONGAIT)["retrieval"] == "neck"
  assert translate(SKELETONGAITPP)["retrieval"] == "embedding"


def test_heads_of_gaitgl():
  assert not translate(GAITGL)["neck"]
  config = translate(GAITGL_NECK)
  assert config["neck"] and config["num_classes"] == 20_000


def test_four_widths_are_the_large_gaitgl_whatever_the_data():
  """Forks train it on HID; in OpenGait itself such a file runs no batch."""
  for name in ("HID", "CASIA-B"):
    config = translate(GAITGL_LARGE.replace("OUMVLP", name))
    assert config == translate(GAITGL_LARGE)
  assert config["variant"] == "large"


def test_stages_of_the_plain_backbone():
  hid, grew = translate(PLAIN), translate(PLAIN_GREW)
  assert hid["channels"] == (64, 128, 256, 512) and hid["halvings"] == 3
  assert models.create_model(hid).frame_size == (128, 88)
  assert grew["channels"] == (32, 64, 128, 256) and grew["halvings"] == 2
  assert grew["bins"] == (16,)


def test_other_strips():
  text = BASELINE.replace("parts_num: 16", "parts_num: 8").replace(
    "- 16", "- 8"
  )
  assert translate(text)["parts"] == 8


def test_students_keep_their_own_network():
  mapping = yaml.safe_load(BASELINE)
  mapping["model_cfg"]["teachers"] = {"big": {"cfg_path": "x.yaml"}}
  assert opengait_config.model_config_from_opengait(mapping) == translate(
    BASELINE
  )


@pytest.mark.parametrize(
  "text, old, new, words",
  [
    (BASELINE, "Baseline", "BigGait", "'BigGait' is not offered; known are"),
    (BASELINE, "ResNet9", "Plain", "lacks layers_cfg"),
    (BASELINE, "ResNet9", "ResNet18", "type is 'ResNet18'.*ResNet9 or Plain"),
    (PLAIN, "BC-64, BC-64", "BC-64", "layers_cfg BC-64, M.* is not offered"),
    (PLAIN, "BC-512, BC-512", "BC-512, BC-512, M", "M is not offered"),
    (PLAIN, "M, BC-128, BC-128, M", "BC-128, BC-128, M", "is not offered"),
    (PLAIN, "BC-64, BC-64", "FC-64-2, FC-64-2", "is not offered"),
    (PLAIN, "[16, 8, 4, 2, 1]", "[16, 8, 4]", "parts_num is 31.*28"),
    (PLAIN, "[16, 8, 4, 2, 1]", "[16, 8, 7]", "model.bins .*1, 2, 4, 8, 16"),
    (PLAIN, "type: Plain", "type: Plain\n    stride: 2", "has stride"),
    (BASELINE, "BasicBlock", "Bottleneck", "Bottleneck"),
    (BASELINE, "maxpool: false", "maxpool: true", "maxpool is True"),
    (BASELINE, "maxpool: false", "", r"lacks maxpool \(False\)"),
    (BASELINE, "[1, 2, 2, 1]", "[1, 2, 2, 2]", "strides"),
    (BASELINE, "out_channels: 256", "norm: true", "SeparateFCs.norm is True"),
    (BASELINE, "out_channels: 256", "depth: 3", "lacks out_channels"),
    (BASELINE, "class_num: 74", "class_num: many", "'many'"),
    (BASELINE, "class_num: 74", "class_num: true", "class_num is True"),
    (BASELINE, "class_num: 74", "class_num: -1", "class_num is -1"),
    (BASELINE, "    - 16", "    - 16\n    - 8", r"bin_num is \[16, 8\]"),
    (BASELINE, "- 512", "- 384", "in_channels is 512.*384"),
    (BASELINE, "      - 512\n", "", "in_channels is 512.*256"),
    (DEEPGAITV2, "class_num: 3000", "class_num: 3\n  dropout: 1", "dropout"),
    (DEEPGAITV2, "p3d", "4d", "mode is '4d'"),
    (DEEPGAITV2, "[1, 4, 4, 1]", "[1, 4, 4]", "blocks"),
    (DEEPGAITV2, "[64, 128, 256, 512]", "[64]", "channels"),
    (
      DEEPGAITV2,
      "class_num: 3000",
      "class_num: 3000\n    parallel_BN1d: false",
      "parallel_BN1d",
    ),
    (DEEPGAITV2, "    class_num: 3000", "", "SeparateBNNecks is None"),
    (SKELETONGAITPP, "use_emb2: false", "use_emb2: 2", "use_emb2 is 2"),
    (SKELETONGAITPP, "in_channels: 3", "in_channels: 4", "in_channels"),
    (SWINGAIT, "mode: p3d", "mode: 2d", "mode"),
    (SWINGAIT, "[15]", "[16]", "bin_num"),
    (FOUNDATIONGAIT, "mode: p3d", "mode: 2d", "mode is '2d'"),
    (FOUNDATIONGAIT, "num: [16, 8, 4, 2, 1]", "num: [16]", "parts_num is 31"),
    (FOUNDATIONGAIT, "in_channels: 512", "in_channels: 256", "256.*512"),
    (FOUNDATIONGAIT, "channels: [64, 128, 256, 512]", "channels: []", "is 512"),
    (FOUNDATIONGAIT_PRETRAINED, "EMA_value", "alpha", "has alpha"),
    (GAITSET, "[16, 8, 4, 2, 1]", "[16]", "bin_num"),
    (GAITSET, "[1, 64, 128, 256]", "[]", "in_channels"),
    (GAITPART, "BC-32, BC-32", "BC-32", "layers_cfg BC-32, M"),
    (GAITPART, "FC-64-2, FC-64-2", "FC-64-2, FC-64-3", "layers_cfg"),
    (GAITGL, "CASIA-B", "OUMVLP", "four for OUMVLP and GREW.* is OUMVLP"),
    (GAITGL, "[32, 64, 128]", "[32, 64]", "channels"),
    (GAITGL, "  class_num: 74", "", "lacks class_num"),
  ],
)
def test_refused_in_one_line(text, old, new, words):
  assert old in text
  with pytest.raises(errors.UserError, match=words) as e:
    translate(text.replace(old, new))
  assert "\n" not in str(e.value)


@pytest.mark.parametrize(
  "content, words",
  [
    (b"model_cfg: [1", "no plain YAML"),
    (b"", "no model_cfg"),
    (b"- 1", "no model_cfg"),
    (b"data_cfg: {}", "lacks model_cfg"),
    (b"model_cfg: 3", "model_cfg is 3"),
    (b"model_cfg: {model: [1]}", "is not offered"),
    (b"model_cfg: !!python/object/apply:os.mkdir [ran]", "no plain YAML"),
    (b"\xff\xfe\xfa", "cannot be read"),
    (b"{[]: 1}", "no plain YAML"),
    (b"a: 2026-99-99", "no plain YAML"),
    (None, "cannot be read"),
  ],
)
def test_other_files_are_refused(tmp_path, monkeypatch, content, words):
  monkeypatch.chdir(tmp_path)
  path = tmp_path / "x.yaml"
  if content is not None:
    path.write_bytes(content)
  with pytest.raises(errors.UserError, match=words) as e:
    opengait_config.read(path)
  assert "\n" not in str(e.value) and "x.yaml" in str(e.value)
  assert not (tmp_path / "ran").exists()


def test_a_file(tmp_path):
  (tmp_path / "x.yaml").write_text(BASELINE)
  assert opengait_config.read(tmp_path / "x.yaml") == translate(BASELINE)
