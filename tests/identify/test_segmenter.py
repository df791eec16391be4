"""Segmentation networks of users: what they take, and what is refused."""

import numpy as np
import onnx
from onnx import helper
from onnx import numpy_helper
import pytest

from gaitkd_jax.errors import UserError
from gaitkd_jax.identify import segmenter as segmenter_lib

FLOAT = onnx.TensorProto.FLOAT


def network(
  path,
  shape=(1, 3, 64, 48),
  channels=1,
  out="logits",
  last=False,
  metadata=None,
  extra=None,
  bias=0,
):
  """A network that finds red people: weights on the colours are all it has.

  Args:
    out: "logits", "sigmoid" or "softmax".
    last: whether the channels of the input come last.
    bias: below 0: people are redder than that.
  """
  # Of red, green and blue of (x - 0.5) / 0.5.
  weights = np.array([8, -4, -4], np.float32).reshape(1, 3, 1, 1)
  if channels == 2:
    weights = np.concatenate([-weights, weights])
  biases = np.full(channels, bias, np.float32)
  nodes, at = [], "picture"
  if len(shape) < 4:
    nodes.append(helper.make_node("Unsqueeze", [at, "first"], ["u"]))
    at = "u"
  if last:
    nodes.append(helper.make_node("Transpose", [at], ["t"], perm=[0, 3, 1, 2]))
    at = "t"
  final = "mask" if out == "logits" else "logits"
  nodes.append(helper.make_node("Conv", [at, "weights", "biases"], [final]))
  if out != "logits":
    kind, options = (
      ("Sigmoid", {}) if out == "sigmoid" else ("Softmax", {"axis": 1})
    )
    nodes.append(helper.make_node(kind, ["logits"], ["mask"], **options))
  outputs = [helper.make_tensor_value_info("mask", FLOAT, None)]
  if extra:
    nodes.append(helper.make_node("ReduceMean", ["mask"], ["mean"], keepdims=0))
    outputs.insert(0, helper.make_tensor_value_info("mean", FLOAT, None))
  graph = helper.make_graph(
    nodes,
    "people",
    [helper.make_tensor_value_info("picture", FLOAT, shape)],
    outputs,
    [
      numpy_helper.from_array(weights, "weights"),
      numpy_helper.from_array(biases, "biases"),
      numpy_helper.from_array(np.array([0]), "first"),
    ],
  )
  model = helper.make_model(
    graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
  )
  facts = {"mean": "0.5", "std": "0.5"} if metadata is None else metadata
  helper.set_model_props(model, facts)
  onnx.save(model, path)
  return path


def scene():
  """A red person before grey, and where the person is."""
  picture = np.full((200, 300, 3), 120, np.uint8)
  truth = np.zeros((200, 300), bool)
  truth[30:180, 130:180] = True
  truth[60:100, 145:165] = True
  picture[truth] = (30, 30, 220)
  return picture, truth, np.array([130.0, 30, 50, 150])


def iou(segmenter):
  picture, truth, box = scene()
  mask = segmenter(picture, box)
  assert set(np.unique(mask)) == {0, 255}
  # The box grows by 15 pixels on every side.
  cut = truth[15:195, 115:195]
  assert mask.shape == cut.shape
  return ((mask > 0) & cut).sum() / ((mask > 0) | cut).sum()


@pytest.mark.parametrize(
  "options",
  [
    {},
    {"out": "sigmoid"},
    {"channels": 2},
    {"channels": 2, "out": "softmax"},
    {"shape": (1, 64, 48, 3), "last": True},
    {"shape": (1, 3, 320, 320)},
    {"shape": (1, 3, 192, 192), "channels": 2, "out": "softmax"},
    {
      "shape": ("n", 3, "h", "w"),
      "metadata": {"input_size": "96,64", "mean": "0.5", "std": "0.5"},
    },
    {
      "extra": True,
      "metadata": {"output": "mask", "mean": "0.5", "std": "0.5"},
    },
  ],
  ids=str,
)
def test_networks_of_many_kinds(tmp_path, options):
  path = network(tmp_path / "people.onnx", **options)
  assert iou(segmenter_lib.Segmenter(path)) > 0.85


def test_arguments_come_before_metadata(tmp_path):
  path = network(tmp_path / "people.onnx", metadata={"order": "bgr"})
  right = {"mean": (0.5,), "std": (0.5,), "order": "rgb"}
  assert iou(segmenter_lib.Segmenter(path, **right)) > 0.85
  # In the other order, red people are blue ones.
  picture, _, box = scene()
  assert not segmenter_lib.Segmenter(path, mean=0.5, std=0.5)(
    picture, box
  ).any()


def test_the_person_in_the_box_is_kept_alone(tmp_path):
  segment = segmenter_lib.Segmenter(network(tmp_path / "people.onnx"))
  picture, truth, box = scene()
  alone = segment(picture, box)
  picture[20:60, 190:194] = (30, 30, 220)
  np.testing.assert_array_equal(segment(picture, box) > 0, alone > 0)


def refused(tmp_path, *args, options=None, **kinds):
  path = network(tmp_path / "people.onnx", **kinds)
  with pytest.raises(UserError) as caught:
    segmenter_lib.Segmenter(path, *args, **(options or {}))
  assert "\n" not in str(caught.value) and str(path) in str(caught.value)
  return str(caught.value)


def test_other_networks_are_one_line(tmp_path):
  assert "3 channels" in refused(tmp_path, shape=(1, 1, 64, 44))
  assert "takes one picture" in refused(tmp_path, shape=(3, 64, 48))
  assert "input_size" in refused(tmp_path, shape=(1, 3, "h", "w"))
  assert "4 pictures at once" in refused(tmp_path, shape=(4, 3, 64, 48))
  assert "gives out mean []" in refused(tmp_path, extra=True)
  said = refused(tmp_path, options={"input_size": (32, 32)})
  assert "give 64,48" in said
  assert "channel is '5'" in refused(
    tmp_path, channels=2, options={"channel": 5}
  )
  assert "numbers above 0" in refused(tmp_path, options={"std": (0, 1, 1)})
  assert "mean is 'grey'" in refused(tmp_path, metadata={"mean": "grey"})
  assert "give rgb or bgr" in refused(tmp_path, options={"order": "gbr"})
  with pytest.raises(UserError, match="is missing"):
    segmenter_lib.Segmenter(tmp_path / "none.onnx")
  (tmp_path / "text.onnx").write_text("mask")
  with pytest.raises(UserError, match="no ONNX file") as caught:
    segmenter_lib.Segmenter(tmp_path / "text.onnx")
  assert "\n" not in str(caught.value)


def test_without_the_runtime(tmp_path, monkeypatch):
  path = network(tmp_path / "people.onnx")
  monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
  with pytest.raises(UserError, match="pip install onnxruntime"):
    segmenter_lib.Segmenter(path)
