"""Bodies as the survey has them."""

import numpy as np

from data_pipelines.walkers import body


def test_bodies_follow_the_survey():
  bodies = [body.sample(np.random.default_rng(i)) for i in range(2000)]
  for female, stature, weight in ((0, 1.756, 85.5), (1, 1.629, 67.8)):
    chosen = [b for b in bodies if b["female"] == female]
    assert 900 < len(chosen) < 1100
    found = {key: np.array([b[key] for b in chosen]) for key in chosen[0]}
    assert abs(found["stature"].mean() - stature) < 0.01
    assert abs(found["weight"].mean() - weight) < 1.5
    # Legs are longer in tall people, and waists wider in heavy ones.
    legs = np.corrcoef(found["stature"], found["trochanterion_height"])
    waists = np.corrcoef(found["weight"], found["waist_breadth"])
    assert legs[0, 1] > 0.7 and waists[0, 1] > 0.8


def test_a_body_depends_on_its_generator_alone():
  first, again, other = (
    body.sample(np.random.default_rng(seed)) for seed in (3, 3, 4)
  )
  assert first == again != other
