"""One object of an evaluation, flat at the edge."""

import numpy as np
import pytest

from gaitkd_jax import evaluation
from gaitkd_jax.evaluation import protocols
from gaitkd_jax.evaluation import scoring
from tests.helpers import evaluation_sets as sets


@pytest.fixture(scope="module")
def chosen():
  return sets.parity_set("ccpg")


def test_flat_metrics_are_those_of_arrays(chosen):
  found = scoring.evaluate(protocols.find("ccpg"), chosen)
  labels = chosen.labels
  arrays = (chosen.embeddings, labels.subjects, labels.conditions, labels.views)
  expected = evaluation.evaluate_embeddings("ccpg", *arrays, verification=True)
  found = scoring.verified(found)
  assert list(found.flat().items()) == list(expected.items())


def test_the_order_of_files(chosen):
  found = scoring.verified(scoring.evaluate(protocols.find("ccpg"), chosen))
  names = list(found.flat(views=False))
  gait = ("rank1", "rank1_identical_view", "rank1_all_views")
  reid = ("reid_rank1", "reid_mAP", "reid_mINP")
  conditions = ("CL", "UP", "DN", "BG")
  expected = [f"{c}/{name}" for c in conditions for name in gait]
  expected += [f"{c}/{name}" for c in conditions for name in reid]
  expected += [f"mean/{name}" for name in (*gait, *reid)]
  assert names[: len(expected)] == expected
  points = [
    f"{kind}@FAR={rate:g}"
    for rate in (0.1, 0.01, 0.001)
    for kind in ("TAR", "threshold")
  ]
  assert names[len(expected) :] == [
    f"{c}/{name}" for c in conditions for name in ("EER", *points)
  ]
  views = {k: v for k, v in found.flat().items() if k not in names}
  assert len(views) == 4 * 4 and np.isfinite(list(views.values())).all()
  assert all("/view/" in name for name in views)
