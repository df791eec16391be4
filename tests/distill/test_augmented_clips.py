"""Terms that run the networks on augmented copies."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax.distill import augmented_clips
from tests.helpers import distillation as helpers


def test_partners_and_strong_augmentation():
  labels = jnp.array([3, 1, 3, 3, 1, 2])
  partners = augmented_clips.partners(labels)
  np.testing.assert_array_equal(partners, [2, 4, 0, 3, 1, 5])
  np.testing.assert_array_equal(labels[partners], labels)
  batch = {
    "silhouettes": jnp.full((8, 3, 16, 10), 255, jnp.uint8),
    "heatmaps": jnp.full((8, 3, 16, 10, 2), 7, jnp.uint8),
  }
  strong = augmented_clips.strongly_augmented(batch, jax.random.key(0), 0.5)
  gone = strong["silhouettes"] == 0
  np.testing.assert_array_equal(gone, gone[:, :1].repeat(3, axis=1))
  np.testing.assert_array_equal(strong["heatmaps"][..., 0] == 0, gone)
  share = gone.mean(axis=(1, 2, 3))
  assert 0 < share.max() <= 0.25 and share.std() > 0


@pytest.mark.slow
def test_terms_that_run_the_networks_again():
  history, state = helpers.train(8, steps=2, kind="clips")
  # Also without a teacher's weight they depend on the student's parameters.
  for key in ("swap", "cross/a"):
    assert 0 < history[1][key] != history[0][key]
  plain, _ = helpers.train(1, steps=2)
  assert plain[0]["triplet"] == pytest.approx(history[0]["triplet"], rel=1e-4)
  assert state.params["stem"]["kernel"].sharding.is_fully_replicated
