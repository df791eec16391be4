"""OpenGait's state dicts: what fits, and what is refused by name."""

import jax
import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax.opengait import convert
from tests.parity import vectors
from tests.parity import weights

NAMES = (
  "gaitbase",
  "gaitbase_plain",
  "gaitbase_plain_hid",
  "deepgaitv2_2d",
  "deepgaitv2_p3d",
  "deepgaitv2_3d",
  "skeletongaitpp",
  "swingait",
  "gaitset",
  "gaitpart",
  "gaitgl",
)


@pytest.fixture(scope="module")
def gaitbase():
  _, meta = vectors.load("gaitbase")
  config = vectors.model_config(meta["model_cfg"])
  return weights.state_dict(meta["state"]), config


def test_prefixes_and_counters(gaitbase):
  state, config = gaitbase
  expected = vectors.flat(convert.variables_from_opengait(state, config))
  dressed = {f"module.{k}": v for k, v in state.items()}
  dressed |= {
    "teacher_models.big.layer0.weight": np.zeros(3),
    "loss_aggregator.kd.weight": np.zeros(3),
    "Backbone.forward_block.bn1.num_batches_tracked": np.zeros((), np.int64),
  }
  converted = vectors.flat(convert.variables_from_opengait(dressed, config))
  assert converted.keys() == expected.keys()
  for path, value in expected.items():
    np.testing.assert_array_equal(converted[path], value)


@pytest.mark.parametrize("name", NAMES)
def test_there_and_back(name):
  _, meta = vectors.load(name)
  config = vectors.model_config(meta["model_cfg"])
  state = weights.state_dict(meta["state"])
  there = convert.variables_from_opengait(state, config)
  assert len(vectors.flat(there)) == len(state)
  assert meta["params"] == sum(
    x.size for x in vectors.flat(there["params"]).values()
  )
  back = convert.variables_to_opengait(there, config)
  floats = {key for key, value in back.items() if value.dtype == np.float32}
  assert floats == state.keys()
  for key, value in state.items():
    np.testing.assert_array_equal(back[key], value)
  rest = {key for key in back if key not in floats}
  assert rest == {
    key.replace("running_var", "num_batches_tracked").replace(
      "bias_table", "index"
    )
    for key in state
    if key.endswith(("running_var", "relative_position_bias_table"))
  }
  assert all(back[key].dtype == np.int64 for key in rest)
  again = vectors.flat(convert.variables_from_opengait(back, config))
  for path, value in vectors.flat(there).items():
    np.testing.assert_array_equal(again[path], value)


def drawn(config):
  """Variables of a model, every number another one."""
  shapes = models.abstract_variables(models.create_model(config))
  rng = np.random.default_rng(0)
  return jax.tree.map(
    lambda x: rng.standard_normal(x.shape).astype(np.float32), shapes
  )


@pytest.mark.parametrize(
  "config",
  [
    dict(name="gaitgl", channels=(2, 4, 4), num_classes=3, neck=True),
    dict(name="gaitgl", channels=(2, 4, 4), num_classes=0),
    dict(name="gaitgl", channels=(2, 2, 4, 4), num_classes=3, variant="large"),
    dict(name="gaitpart", channels=(4, 4, 8, 8), variant="large"),
    dict(name="gaitbase", channels=(2, 2, 4, 4), blocks=(2, 1, 2, 1)),
    dict(name="gaitbase_plain", channels=(2, 2, 4, 4), bins=(16,)),
    dict(name="swingait", channels=(2, 4), blocks=(2, 1, 2, 1), dim=16),
  ],
  ids=str,
)
def test_back_and_there(config):
  here = drawn(config)
  state = convert.variables_to_opengait(here, config)
  again = vectors.flat(convert.variables_from_opengait(state, config))
  here = vectors.flat(here)
  assert again.keys() == here.keys()
  for path, value in here.items():
    np.testing.assert_array_equal(again[path], value)


@pytest.mark.parametrize(
  "halvings, last", [(3, (15, 17)), (2, (14, 16)), (0, (12, 14))]
)
def test_numbers_of_the_plain_backbones_layers(halvings, last):
  """Rectifiers and halvings are numbered, too, as in torch.nn.Sequential."""
  config = dict(
    name="gaitbase_plain", channels=(2, 2, 2, 3), halvings=halvings, bins=(1,)
  )
  state = convert.variables_to_opengait(drawn(config), config)
  wide = [k for k, v in state.items() if v.ndim == 4 and v.shape[0] == 3]
  assert sorted(wide) == [
    f"Backbone.forward_block.feature.{i}.conv.weight" for i in last
  ]


def test_position_index_of_swingait():
  """(dt + 2) 45 + (dh + 2) 9 + (dw + 4), offsets being query minus key."""
  config = dict(
    name="swingait", channels=(2, 2), blocks=(1, 1, 1, 1), dim=16, num_classes=2
  )
  state = convert.variables_to_opengait(drawn(config), config)
  for layer in (0, 1):
    key = f"transformer.layers.{layer}.blocks.0.attn.relative_position_index"
    index = state[key]
    assert index.shape == (45, 45) and index.dtype == np.int64
    assert (np.diag(index) == 2 * 45 + 2 * 9 + 4).all()
    # Token 1 is the first one's right neighbour, 5 below it, 15 a frame later.
    for token, step in ((1, 1), (5, 9), (15, 45)):
      assert index[token, 0] == index[0, 0] + step
      assert index[0, token] == index[0, 0] - step


def test_axes_of_linear_layers():
  _, meta = vectors.load("swingait")
  config = vectors.model_config(meta["model_cfg"])
  state = weights.state_dict(meta["state"])
  block = "transformer.layers.1.blocks.0.attn"
  converted = vectors.flat(convert.variables_from_opengait(state, config))
  at = "params/transformer/stage1_block0/attention"
  np.testing.assert_array_equal(
    converted[f"{at}/qkv/kernel"], state[f"{block}.qkv.weight"].T
  )
  np.testing.assert_array_equal(
    converted[f"{at}/bias_table"],
    state[f"{block}.relative_position_bias_table"],
  )


@pytest.fixture(scope="module")
def foundationgait():
  _, meta = vectors.load("foundationgait")
  config = vectors.model_config(meta["model_cfg"])
  return weights.state_dict(meta["state"]), config


def test_what_opengait_never_uses_is_filled_in(foundationgait):
  """FoundationGait as fine-tuned keeps a predictor that nothing reads."""
  state, config = foundationgait
  predictor = {key for key in state if ".predictor." in key}
  there = convert.variables_from_opengait(state, config)
  assert len(vectors.flat(there)) == len(state) - len(predictor) == 106
  assert convert.ignored(state, config)["never used"] == len(predictor) == 6
  back = convert.variables_to_opengait(there, config)
  assert {k for k, v in back.items() if v.dtype == np.float32} == state.keys()
  for key, value in state.items():
    assert back[key].shape == value.shape
    if key not in predictor:
      np.testing.assert_array_equal(back[key], value)
    elif key.endswith(("weight", "running_var")):
      assert (back[key] == 1).all()
    else:
      assert not back[key].any()
  again = vectors.flat(convert.variables_from_opengait(back, config))
  for path, value in vectors.flat(there).items():
    np.testing.assert_array_equal(again[path], value)
  missing = {key: state[key] for key in state if key not in predictor}
  convert.variables_from_opengait(missing, config)


def test_what_the_self_supervised_stage_leaves(foundationgait):
  """It has two backbones, of which the mean is searched, and no head."""
  state, config = foundationgait
  found = {k: v for k, v in state.items() if k.startswith("teacher_backbone.")}
  learns = {k.replace("teacher", "student"): v for k, v in found.items()}
  words = "give --config.model.num_classes=0 --config.model.embedding_dim=0"
  with pytest.raises(errors.UserError, match=words):
    convert.variables_from_opengait(found | learns, config)
  config = config | dict(embedding_dim=0, num_classes=0)
  there = convert.variables_from_opengait(found | learns, config)
  assert len(vectors.flat(there)) == len(found)
  counts = convert.ignored(found | learns, config)
  assert {k: n for k, n in counts.items() if n} == {
    "of self-supervised students": len(learns)
  }
  with pytest.raises(errors.UserError, match="left over BNNecks.bn1d.bias"):
    convert.variables_from_opengait(state, config)


def test_left_over_and_missing_are_listed(gaitbase):
  state, config = gaitbase
  state = dict(state, surplus=np.zeros(3))
  del state["FCs.fc_bin"]
  with pytest.raises(
    errors.UserError, match="left over surplus; missing FCs.fc_bin"
  ):
    convert.variables_from_opengait(state, config)


def test_the_same_key_twice_is_left_over(gaitbase):
  state, config = gaitbase
  for twice in (
    state | {"module.FCs.fc_bin": state["FCs.fc_bin"]},
    {"module.FCs.fc_bin": state["FCs.fc_bin"]} | state,
  ):
    with pytest.raises(errors.UserError, match="left over module.FCs.fc_bin;"):
      convert.variables_from_opengait(twice, config)


def test_another_width_names_key_and_shapes(gaitbase):
  state, config = gaitbase
  with pytest.raises(errors.UserError, match=r"FCs.fc_bin.*\(16, 32, 16\)"):
    convert.variables_from_opengait(state, config | {"embedding_dim": 8})


@pytest.mark.parametrize(
  "name, change, words",
  [
    ("gaitbase", dict(num_classes=74), "--config.model.num_classes=10"),
    ("gaitbase", dict(num_classes=0), "--config.model.num_classes=10"),
    ("deepgaitv2_p3d", dict(mode="2d"), "--config.model.mode=p3d"),
    (
      "deepgaitv2_p3d",
      dict(mode="3d", num_classes=7),
      "--config.model.mode=p3d --config.model.num_classes=10",
    ),
    ("gaitgl", dict(neck=True), r"give --config.model.neck=False \("),
    ("gaitset", dict(embedding_dim=7), r"\(62, 16, 16\).*\(62, 16, 7\)"),
    ("gaitbase", dict(name="deepgaitv2"), "and .* more"),
  ],
)
def test_what_makes_a_file_fit_is_named(name, change, words):
  _, meta = vectors.load(name)
  config = vectors.model_config(meta["model_cfg"])
  if change.get("name") == "deepgaitv2":
    config.pop("embedding_dim")
  state = weights.state_dict(meta["state"])
  with pytest.raises(errors.UserError, match=words):
    convert.variables_from_opengait(state, config | change)


def test_variables_of_another_model_are_refused(gaitbase):
  state, config = gaitbase
  variables = convert.variables_from_opengait(state, config)
  with pytest.raises(errors.UserError, match=r"neck/kernel .*10\).* 7\)"):
    convert.variables_to_opengait(variables, config | dict(num_classes=7))
  del variables["params"]["stem"]
  with pytest.raises(errors.UserError, match="stem/kernel .*None"):
    convert.variables_to_opengait(variables, config)


def test_what_is_no_number_is_refused(gaitbase):
  state, config = gaitbase
  state = dict(state)
  state["FCs.fc_bin"] = np.full(state["FCs.fc_bin"].shape, "x")
  with pytest.raises(errors.UserError, match="FCs.fc_bin .* no numbers"):
    convert.variables_from_opengait(state, config)
