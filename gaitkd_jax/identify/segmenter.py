"""A segmentation network of the user's own cuts people out of their boxes."""

from collections.abc import Sequence
import os

import numpy as np

from gaitkd_jax.errors import UserError
from gaitkd_jax.hosts import stopping

# Those of ImageNet, which most networks expect; for red, green and blue.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
# The box grows by that share on every side, so that nothing is cut off.
_MARGIN = 0.1
_SIDES = range(32, 2049)  # of a network's input
KEYS = ("input_size", "mean", "std", "order", "output", "channel", "activation")


class Segmenter:
  """An ONNX file: a picture in, a mask out.

  The input is [1, 3, h, w] or [1, h, w, 3]. The output is one channel (how
  likely a pixel is a person's, or its logit), or two and more (of which one,
  `channel`, is the person's): [1, c, h, w], [1, h, w, c] or [1, h, w]. Where
  that is not what the file takes, its metadata may say so (custom metadata of
  ONNX, under the names of `KEYS`), or an argument here, which comes first.

  Attributes:
    path: of the file.
    size: height and width of the network's input.
    every: of the frames of a video only each `every`-th is shown to the
      network; those between are left out.
  """

  def __init__(
    self,
    path: str | os.PathLike[str],
    input_size: Sequence[int] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    order: str | None = None,
    output: str | None = None,
    channel: int | None = None,
    activation: str | None = None,
    threads: int = 0,
    every: int = 1,
  ):
    """Opens a file.

    Args:
      path: of the ONNX file.
      input_size: height and width, where the file leaves them open.
      mean: is subtracted from pixels of 0 to 1, one number or three.
      std: by which they are divided then.
      order: "rgb" or "bgr".
      output: name of the output; the first one by default.
      channel: that of people, where the output has several; the second.
      activation: "none" (the output is a probability), "sigmoid" or "softmax";
        by default what its numbers look like.
      threads: of the runtime; 0: as it decides.
      every: of a video's frames, how many make one that is shown.

    Raises:
      UserError: onnxruntime is missing, or the file is of another kind.
    """
    self.path, self.every = os.fspath(path), every
    if every < 1:
      raise UserError(f"--segment_every is {every}; give 1 or more")
    self._session = self._open(threads)
    known = self._session.get_modelmeta().custom_metadata_map
    given = {
      "input_size": input_size,
      "mean": mean,
      "std": std,
      "order": order,
      "output": output,
      "channel": channel,
      "activation": activation,
    }
    text = {
      key: known.get(key, "") if value is None else _text(value)
      for key, value in given.items()
    }
    self._input, self.size, self._last = self._examine(text["input_size"])
    self._mean = self._numbers("mean", text["mean"], MEAN)
    self._std = self._numbers("std", text["std"], STD)
    if (self._std <= 0).any():
      raise self._wrong("std", text["std"], "numbers above 0")
    self._order = self._choice("order", text["order"], ("rgb", "bgr"))
    self._activation = self._choice(
      "activation", text["activation"], ("", "none", "sigmoid", "softmax")
    )
    names = tuple(output.name for output in self._session.get_outputs())
    self._output = self._choice("output", text["output"], names)
    self._channel = int(self._numbers("channel", text["channel"], (1,))[0])
    # What the output is like is found out before any work is done.
    self._run(np.zeros((*self.size, 3), np.uint8))

  def __call__(self, picture: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Cuts a person out.

    Args:
      picture: uint8 [h, w, 3], blue, green and red.
      box: float [4], left, top, width and height.

    Returns:
      uint8 [h', w'], 0 or 255: the box with a margin around; the parts that
      hang together with the largest one, or lie for the most in the box.
    """
    import cv2

    height, width = picture.shape[:2]
    left, top, columns, rows = box
    margin = _MARGIN * max(columns, rows)
    x0, y0 = int(max(0, left - margin)), int(max(0, top - margin))
    x1 = int(min(width, np.ceil(left + columns + margin)))
    y1 = int(min(height, np.ceil(top + rows + margin)))
    crop = picture[y0:y1, x0:x1]
    if not crop.size:
      return np.zeros((1, 1), np.uint8)
    # A network that is shown people at their true proportions does better.
    side = max(crop.shape[0] / self.size[0], crop.shape[1] / self.size[1])
    padded = np.zeros(
      (
        max(crop.shape[0], round(self.size[0] * side)),
        max(crop.shape[1], round(self.size[1] * side)),
        3,
      ),
      np.uint8,
    )
    padded[:] = crop.mean(axis=(0, 1)).astype(np.uint8)
    at = [(padded.shape[i] - crop.shape[i]) // 2 for i in (0, 1)]
    inner = (
      slice(at[0], at[0] + crop.shape[0]),
      slice(at[1], at[1] + crop.shape[1]),
    )
    padded[inner] = crop
    small = cv2.resize(
      padded,
      self.size[::-1],
      interpolation=cv2.INTER_AREA if side > 1 else cv2.INTER_LINEAR,
    )
    likely = cv2.resize(self._run(small), padded.shape[1::-1])[inner]
    mask = (likely > 0.5).astype(np.uint8) * 255
    return _own(mask, np.array([left - x0, top - y0, columns, rows]))

  def _open(self, threads: int):
    try:
      # A library that is interrupted while it is loaded may crash.
      with stopping.held():
        import onnxruntime
    except ImportError as error:
      raise UserError(
        "--segmenter needs onnxruntime, which is not installed; pip install "
        "onnxruntime"
      ) from error
    if not os.path.isfile(self.path):
      raise UserError(f"--segmenter {self.path} is missing; check the path")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    try:
      return onnxruntime.InferenceSession(
        self.path, options, providers=["CPUExecutionProvider"]
      )
    except Exception as error:
      raise UserError(
        f"--segmenter {self.path} is no ONNX file that can be run "
        f"({_first(error)})"
      ) from error

  def _examine(self, text: str) -> tuple[str, tuple[int, int], bool]:
    """The input's name, height and width, and whether channels come last."""
    inputs = self._session.get_inputs()
    shape = inputs[0].shape
    seen = f"{[(one.name, one.shape) for one in inputs]}"
    if len(inputs) != 1 or len(shape) != 4 or inputs[0].type != "tensor(float)":
      raise UserError(
        f"--segmenter {self.path} takes {seen}; a segmenter takes one picture, "
        "float32 [1, 3, h, w] or [1, h, w, 3]"
      )
    last = shape[3] == 3 and shape[1] != 3
    if not last and isinstance(shape[1], int) and shape[1] != 3:
      raise UserError(
        f"--segmenter {self.path} takes {seen}; a segmenter takes pictures of "
        "3 channels, [1, 3, h, w] or [1, h, w, 3]"
      )
    if isinstance(shape[0], int) and shape[0] > 1:
      raise UserError(
        f"--segmenter {self.path} takes {shape[0]} pictures at once; export it "
        "for one"
      )
    own = shape[1:3] if last else shape[2:4]
    wanted = self._numbers("input_size", text, (0, 0)).astype(int)
    if wanted.size == 1:
      wanted = np.repeat(wanted, 2)
    size = tuple(
      side if isinstance(side, int) else int(given)
      for side, given in zip(own, wanted, strict=True)
    )
    if wanted.any() and tuple(wanted) != size:
      raise self._wrong("input_size", text, f"{size[0]},{size[1]}")
    if any(side not in _SIDES for side in size):
      raise UserError(
        f"--segmenter {self.path} takes pictures of {own[0]} x {own[1]}; give "
        "the height and width that it was trained with (input_size), 32 to 2048"
      )
    return inputs[0].name, size, last

  def _numbers(
    self, key: str, text: str, default: Sequence[float]
  ) -> np.ndarray:
    try:
      found = [float(n) for n in text.split(",")] if text else list(default)
    except ValueError:
      raise self._wrong(key, text, "numbers, with commas") from None
    if len(found) not in {1, len(default)} or not np.isfinite(found).all():
      raise self._wrong(key, text, f"{len(default)} numbers, with commas")
    return np.array(found, np.float32)

  def _choice(self, key: str, text: str, choices: Sequence[str]) -> str:
    if not text:
      return choices[0]
    if text not in choices:
      raise self._wrong(key, text, " or ".join(filter(None, choices)))
    return text

  def _wrong(self, key: str, text: str, wanted: str) -> UserError:
    return UserError(
      f"--segmenter {self.path}: {key} is {text!r}; give {wanted}"
    )

  def _run(self, picture: np.ndarray) -> np.ndarray:
    """How likely pixels are a person's, float32 [h, w], for uint8 [h, w, 3]."""
    values = picture.astype(np.float32) / 255
    if self._order == "rgb":
      values = values[..., ::-1]
    values = (values - self._mean) / self._std
    if not self._last:
      values = values.transpose(2, 0, 1)
    feed = {self._input: np.ascontiguousarray(values[None], np.float32)}
    try:
      (found,) = self._session.run([self._output], feed)
    except Exception as error:
      raise UserError(
        f"--segmenter {self.path} does not run on a picture of "
        f"{self.size[0]} x {self.size[1]} ({_first(error)})"
      ) from error
    return self._likely(np.asarray(found))

  def _likely(self, found: np.ndarray) -> np.ndarray:
    shape = found.shape
    if found.ndim == 4 and found.shape[0] == 1:
      found = found[0]
      if found.shape[:2] == self.size or found.shape[2] <= 2 < found.shape[0]:
        found = found.transpose(2, 0, 1)
    elif not (found.ndim == 3 and found.shape[0] == 1):
      found = np.zeros((0, 0, 0))
    channels = found.shape[0]
    # Some networks answer at a half or a quarter of their input's size.
    if not channels or min(found.shape[1:]) < max(8, min(self.size) // 16):
      raise UserError(
        f"--segmenter {self.path} gives out {self._output} {list(shape)} for a "
        f"picture of {self.size[0]} x {self.size[1]}; a segmenter gives one or "
        "more channels of a mask, [1, c, h, w] (another output? output=<name>)"
      )
    found = found.astype(np.float32)
    if channels == 1:
      likely = found[0]
      outside = likely.min() < -1e-3 or likely.max() > 1 + 1e-3
      if self._activation == "sigmoid" or (not self._activation and outside):
        likely = 1 / (1 + np.exp(-np.clip(likely, -30, 30)))
      return likely
    if not 0 <= self._channel < channels:
      raise self._wrong("channel", str(self._channel), f"0 to {channels - 1}")
    sums = found.sum(axis=0)
    sure = np.abs(sums - 1).max() < 1e-2 and found.min() > -1e-3
    if self._activation == "softmax" or (not self._activation and not sure):
      found = np.exp(found - found.max(axis=0))
      found = found / found.sum(axis=0)
    elif self._activation == "sigmoid":
      found = 1 / (1 + np.exp(-np.clip(found, -30, 30)))
    return found[self._channel]


def _own(mask: np.ndarray, box: np.ndarray) -> np.ndarray:
  """Drops the parts of a mask that are not of the person in the box."""
  import cv2

  count, labels, stats, centres = cv2.connectedComponentsWithStats(mask)
  if count < 3:
    return mask
  largest = 1 + int(stats[1:, 4].argmax())
  x, y = centres[:, 0] - box[0], centres[:, 1] - box[1]
  kept = (x > 0) & (x < box[2]) & (y > 0) & (y < box[3])
  kept &= stats[:, 4] > 0.02 * stats[largest, 4]
  kept[0], kept[largest] = False, True
  return np.where(kept[labels], mask, 0).astype(np.uint8)


def _text(value: object) -> str:
  if isinstance(value, Sequence) and not isinstance(value, str):
    return ",".join(map(str, value))
  return str(value)


def _first(error: BaseException) -> str:
  return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
