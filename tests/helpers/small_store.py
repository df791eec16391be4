"""Twelve small sequences, for the tests of the store and of the pipeline."""

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from data_pipelines import records


def sequence(rng, frames):
  sequence = rng.integers(0, 256, (frames, 64, 64), np.uint8)
  # The first pixels tell the frame's number, then the sequence's length.
  sequence[:, 0, 20] = np.arange(frames)
  sequence[:, 0, 21] = frames
  return sequence


def columns():
  """Returns sequences, subjects, conditions and views, in no order."""
  rng = np.random.default_rng(0)
  keys = [
    (subject, condition, view)
    for subject in ("007", "002", "010")
    for condition in ("nm-02", "bg-01")
    for view in ("090", "000")
  ]
  return [sequence(rng, 3 + 2 * i) for i in range(12)], *zip(*keys, strict=True)


def decode(store, position, frames=None):
  """Frames of a sequence of the store, by modality."""
  decoded = store.decode(store.read(position), frames)
  return {name: values.numpy() for name, values in decoded.items()}


def write(store, path):
  with tf.io.TFRecordWriter(str(path)) as writer:
    for i in range(len(store)):
      writer.write(store.read(i))


with tfds.core.registered.skip_registration():

  class SmallSet(tfds.core.GeneratorBasedBuilder):
    """The sequences, prepared as the builders of the project do it."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
      frame = tfds.features.Tensor(
        shape=(64, 64), dtype=np.uint8, encoding="zlib"
      )
      return tfds.core.DatasetInfo(
        builder=self,
        features=tfds.features.FeaturesDict(
          {
            "silhouettes": tfds.features.Sequence(frame),
            "subject": tfds.features.Text(),
            "condition": tfds.features.Text(),
            "view": tfds.features.Text(),
            "name": tfds.features.Text(),
          }
        ),
      )

    def _split_generators(self, dl_manager):
      return {"train": self._generate_examples()}

    def _generate_examples(self):
      for silhouettes, *key in zip(*columns(), strict=True):
        key = (*key, "-".join(key))
        yield (
          key[-1],
          {"silhouettes": silhouettes}
          | dict(zip(records.TEXTS, key, strict=True)),
        )
