"""Metrics and their flat names."""

import numpy as np
import pytest

from gaitkd_jax.evaluation import metrics as metrics_lib

METRICS = [
  metrics_lib.Metric("NM", "rank1", 90.0, "090"),
  metrics_lib.Metric("NM", "rank1", 95.0),
  metrics_lib.Metric("CL", "rank1", 20.0),
  metrics_lib.Metric("CL", "mAP", float("nan")),
]


def test_flat_names():
  flat = metrics_lib.flat(METRICS)
  assert list(flat) == ["NM/view/090", "NM/rank1", "CL/rank1", "CL/mAP"]
  assert list(flat.values())[:3] == [90.0, 95.0, 20.0]
  assert list(metrics_lib.flat(METRICS, views=False)) == list(flat)[1:]


@pytest.mark.parametrize(
  "name, flat",
  [
    (("mean", "reid_mAP"), "mean/reid_mAP"),
    (("NM", "TAR@FAR=0.01"), "NM/TAR@FAR=0.01"),
    (("all", "rank1", "090"), "all/view/090"),
    (("all", "rank1", ""), "all/view/"),
    (("all", "rank1", "camera 1/2"), "all/view/camera 1/2"),
  ],
)
def test_flat_names_are_read_again(name, flat):
  name = metrics_lib.MetricName(*name)
  assert name.flat == flat
  assert metrics_lib.parse(flat) == name


def test_means_are_over_conditions_and_not_of_views():
  rank1, precision = metrics_lib.means(METRICS)
  assert rank1 == metrics_lib.Metric("mean", "rank1", 57.5)
  assert (precision.condition, precision.name) == ("mean", "mAP")
  assert np.isnan(precision.value)
