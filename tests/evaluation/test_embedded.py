"""Labels of sequences."""

import numpy as np

from gaitkd_jax import evaluation


def test_labels():
  labels = evaluation.Labels.of([1, 2, 3], ["a", "b", "b"], ("0", "90", "0"))
  assert len(labels) == 3
  assert labels.names.tolist() == ["1-a-0", "2-b-90", "3-b-0"]
  some = labels[np.array([2, 0])]
  assert some.names.tolist() == ["3-b-0", "1-a-0"]
  assert labels[1:].subjects.tolist() == ["2", "3"]
  assert evaluation.Labels.of([], [], []).names.tolist() == []
