"""A body, its clothes and its bag as shapes."""

import numpy as np
import pytest

from data_pipelines.walkers import appearance
from data_pipelines.walkers import body
from data_pipelines.walkers import figure
from data_pipelines.walkers import motion
from data_pipelines.walkers import spec as spec_lib

FRAMES = 12


def build(bag=None, coat=False, seed=0):
  rng = np.random.default_rng(seed)
  measures = body.sample(rng)
  clothes = appearance.sample_clothes(rng, bool(measures["female"]))
  if coat:
    clothes = appearance.put_on_coat(rng, clothes)
  gait = motion.sample_gait(np.random.default_rng(1), spec_lib.Spec())
  walk = motion.sample_walk(
    np.random.default_rng(2), spec_lib.Spec(), gait, FRAMES
  )
  return measures, figure.build(measures, clothes, bag, walk)


def test_a_figure_is_as_tall_as_the_person():
  for seed in range(5):
    measures, shapes = build(seed=seed)
    top = (shapes.centres[..., 2] + np.abs(shapes.axes[..., 2, :]).sum(-1)).max(
      0
    )
    height = top - shapes.floor
    # Legs are bent in part of a stride; hair and soles add to the height.
    assert height.max() == pytest.approx(measures["stature"], abs=0.08)
    assert np.ptp(height) < 0.1


def test_limbs_are_as_long_as_measured():
  measures, shapes = build()
  left_hip, left_knee, left_ankle = shapes.joints[[11, 13, 15]]
  thigh = np.linalg.norm(left_knee - left_hip, axis=-1)
  shank = np.linalg.norm(left_ankle - left_knee, axis=-1)
  hip, knee, ankle = (
    measures[f"{name}_height"]
    for name in ("trochanterion", "tibial", "malleolus")
  )
  np.testing.assert_allclose(thigh, hip - knee, rtol=1e-5)
  np.testing.assert_allclose(shank, knee - ankle, rtol=1e-5)


def test_bags_and_coats_are_further_shapes():
  _, plain = build()
  for kind in ("backpack", "side", "hand"):
    _, carrying = build(appearance.Bag(kind, 1, (0.1, 0.1, 0.1)))
    assert len(carrying.centres) == len(plain.centres) + 1
    np.testing.assert_array_equal(carrying.joints, plain.joints)
  _, coat = build(coat=True)
  assert len(coat.ends) > len(plain.ends)
