"""The record of one sequence: what TFDS writes, and how frames are decoded."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
import re
import zlib

import numpy as np
import tensorflow as tf

from gaitkd_jax import errors

HEIGHT = WIDTH = 64
SHAPES = {"silhouettes": (HEIGHT, WIDTH), "heatmaps": (2, HEIGHT, WIDTH)}
TEXTS = ("subject", "condition", "view", "name")

# A modality is a list of frames, each one zlib string.
FRAMES = tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True)
TEXT = tf.io.FixedLenFeature([], tf.string)


def serialize(
  arrays: Mapping[str, np.ndarray], texts: Mapping[str, str]
) -> bytes:
  """Returns the record of one sequence, as TFDS writes it.

  Args:
    arrays: uint8 [t, *SHAPES[m]] for every modality m.
    texts: subject, condition, view and name.

  Raises:
    errors.UserError: an array has the wrong shape or dtype.
  """
  feature = {
    name: _bytes_feature([text.encode()]) for name, text in texts.items()
  }
  t = len(arrays["silhouettes"])
  for name, values in arrays.items():
    expected = (t, *SHAPES[name])
    if values.dtype != np.uint8 or values.shape != expected:
      raise errors.UserError(
        f"sequence {texts['name']}: {name} are {values.dtype}"
        f" {list(values.shape)}; make them uint8 {list(expected)}"
      )
    feature[name] = _bytes_feature([zlib.compress(v.tobytes()) for v in values])
  example = tf.train.Example(features=tf.train.Features(feature=feature))
  return example.SerializeToString()


def _bytes_feature(values: Sequence[bytes]) -> tf.train.Feature:
  return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def decode(
  record: tf.Tensor,
  modalities: Sequence[str],
  frames: tf.Tensor | None = None,
) -> dict[str, tf.Tensor]:
  """Decodes frames of a record, as an operation of TensorFlow.

  Args:
    record: string scalar.
    modalities: which of the record's modalities to decode.
    frames: int64 [s], which frames; None for all, in order.

  Returns:
    uint8 [s, *SHAPES[m]] for every modality m.
  """
  # TFDS's parser does the same, but takes nine times as long.
  strings = tf.io.parse_single_example(
    record, {name: FRAMES for name in modalities}
  )
  decoded = {}
  for name, packed in strings.items():
    if frames is not None:
      packed = tf.gather(packed, frames)
    pixels = tf.io.decode_raw(tf.io.decode_compressed(packed, "ZLIB"), tf.uint8)
    decoded[name] = tf.reshape(pixels, [-1, *SHAPES[name]])
  return decoded


def reason(error: tf.errors.OpError) -> str:
  """Returns the message of a TensorFlow error without its graph's names."""
  line = re.sub(r"\{\{.*?\}\}\s*", "", error.message.splitlines()[0])
  return re.sub(r"\s*\[Op:\w+\] name:\s*$", "", line)
