"""Small training batches, and whether two runs yield the same."""

import itertools

import numpy as np

from data_pipelines import pipeline

AUGMENT = pipeline.Augment(0.5, 0.5, 0.5, 0.5)


def train(store, **options):
  """Training batches of eight short clips."""
  defaults = {
    "identities": 2,
    "sequences": 4,
    "clip": pipeline.Clip(frames=6, skip=2),
    "augment": AUGMENT,
    "seed": 3,
  }
  return pipeline.train_batches(store, **defaults | options)


def take(batches, n):
  """The first n batches."""
  return list(itertools.islice(batches, n))


def joined(batches):
  """One batch with the rows of several."""
  return {
    name: np.concatenate([batch[name] for batch in batches])
    for name in batches[0]
  }


def assert_equal(batches, others):
  """Compares names and arrays of all batches."""
  assert len(batches) == len(others)
  for batch, other in zip(batches, others, strict=True):
    assert batch.keys() == other.keys()
    for name in batch:
      np.testing.assert_array_equal(batch[name], other[name])
