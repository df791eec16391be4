"""Clothes, coats and bags, and where they show."""

import numpy as np

from data_pipelines.walkers import appearance
from data_pipelines.walkers import spec as spec_lib
from tests.helpers import walkers


def _subject_with(kind):
  for subject in spec_lib.SIZES["full"].split("train"):
    draw = spec_lib.generator(spec_lib.BAG, subject)
    if appearance.sample_bag(draw).kind == kind:
      return subject
  raise AssertionError(f"no subject carries a {kind} bag")


def test_a_bag_adds_mass_where_it_is_carried():
  # At view 090 the walker heads left, so its back is on the right.
  subject = _subject_with("backpack")
  more = walkers.mean(subject, "bg-01", "090") - walkers.mean(
    subject, "nm-01", "090"
  )
  behind, ahead = more[14:32, 34:].sum(), more[14:32, :30].sum()
  assert behind > 25
  # Centring on the mass moves the person ahead by part of the bag.
  assert behind > 2 * ahead
  subject = _subject_with("hand")
  more = walkers.mean(subject, "bg-01", "090") - walkers.mean(
    subject, "nm-01", "090"
  )
  assert np.clip(more[28:48], 0, None).sum() > 15


def test_a_coat_widens_the_trunk_and_not_the_shins():
  for subject in ("001", "002", "003"):
    coat, none = (
      walkers.mean(subject, condition, "000")
      for condition in ("cl-01", "nm-01")
    )
    widths = [(mean > 0.5).sum(axis=1) for mean in (coat, none)]
    assert np.mean(widths[0][14:32] - widths[1][14:32]) > 1.5
    assert abs(np.mean(widths[0][56:62] - widths[1][56:62])) < 1.5


def test_a_coat_lies_over_the_clothes():
  for i in range(20):
    rng = np.random.default_rng(i)
    clothes = appearance.sample_clothes(rng, female=bool(i % 2))
    coat = appearance.put_on_coat(rng, clothes)
    assert coat.torso > clothes.torso and coat.sleeve > clothes.sleeve
    assert coat.trousers == clothes.trousers and coat.hair == clothes.hair


def test_a_hand_that_carries_swings_less():
  bags = [appearance.sample_bag(np.random.default_rng(i)) for i in range(60)]
  assert {bag.kind for bag in bags} == {"backpack", "side", "hand"}
  for bag in bags:
    left, right = bag.swing
    if bag.kind == "backpack":
      assert left == right < 1
    else:
      assert (left < right) == (bag.side > 0)
