"""The split that a config trains on, and its batches."""

import numpy as np
import pytest

from data_pipelines import pipeline
from data_pipelines import training
from gaitkd_jax import errors
from tests.helpers import batches
from tests.helpers import configs
from tests.helpers import untrained


@pytest.fixture(scope="module")
def config(prepared):
  return configs.smoke_config(
    prepared, **{"cache.views": 3, "augment.flip": 0.5, "seed": 5}
  )


@pytest.fixture(scope="module")
def split(config):
  return training.training_split(config)


def test_classes_are_the_subjects_in_order(config, split):
  assert split.num_classes == 8 and len(split) == 8 * 10 * 4
  names = training.class_names(config, split)
  assert names == [f"walkers/{i:03}" for i in range(1, 9)]
  for i in (0, 100, 319):
    assert names[split.labels[i]] == f"walkers/{split.subjects[i]}"


def test_a_network_with_too_few_classes_is_refused(prepared, config):
  few = configs.smoke_config(prepared, **{"model.num_classes": 7})
  with pytest.raises(errors.UserError, match="num_classes is 7.* 8 subjects"):
    training.training_split(few)
  # None at all is a network without a classifier.
  none = configs.smoke_config(prepared, **{"model.num_classes": 0})
  assert training.training_split(none).num_classes == 8


def test_batches_are_those_of_the_config(config, split):
  found = batches.take(training.train_batches(config, split, 2), 2)
  assert found[0].keys() == {"silhouettes", "labels"}
  assert found[0]["silhouettes"].shape == (8, 6, 64, 44)
  expected = pipeline.train_batches(
    split,
    identities=2,
    sequences=4,
    clip=pipeline.Clip("fixed_ordered", 6, 2),
    augment=pipeline.Augment(**config.augment),
    seed=5,
    start_step=2,
  )
  batches.assert_equal(found, batches.take(expected, 2))


def test_cached_batches_are_numbered_clips(config, split):
  (batch,) = batches.take(training.train_batches(config, split, 0, True), 1)
  assert batch["clip"].max() < 3
  clips = pipeline.clip_batches(
    split,
    batch_size=len(split) * 3,
    clip=pipeline.Clip("fixed_ordered", 6, 2),
    augment=pipeline.Augment(**config.augment),
    seed=5,
    clips_per_sequence=3,
  )
  rows = batch["sequence"] * 3 + batch["clip"]
  np.testing.assert_array_equal(
    batch["silhouettes"], next(clips)["silhouettes"][rows]
  )


@pytest.mark.parametrize("sampler", ["triplet", "shuffled"])
def test_names_are_those_of_the_batch(config, split, sampler):
  config = untrained.changed(config, **{"batch.sampler": sampler})
  (batch,) = batches.take(training.train_batches(config, split, 7, True), 1)
  names = training.batch_names(config, split, 7)
  assert names == [split.names[i] for i in batch["sequence"]]
  assert len(names) == 8 and names != training.batch_names(config, split, 8)
