"""Ranks as protocols carry them."""

import numpy as np

from gaitkd_jax.evaluation.protocols import probe_gallery
from gaitkd_jax.evaluation.protocols import ranks as ranks_lib

COMPARED = probe_gallery.ProbeGallery("all", np.arange(3), np.arange(3, 9))


def test_first_ranks_of_all_matches():
  matches = [np.array([2, 5]), np.array([], int), np.array([1])]
  ranks = ranks_lib.Ranks.of_matches(COMPARED, matches)
  assert ranks.first.dtype == np.int32
  assert ranks.first.tolist() == [[2], [ranks_lib.ABSENT], [1]]
  assert ranks.of_whole_gallery.tolist() == [2, ranks_lib.ABSENT, 1]
  assert ranks.matches is matches


def test_ranks_by_view_are_not_of_the_whole_gallery():
  views = np.array(["000", "090"])
  ranks = ranks_lib.Ranks(COMPARED, np.ones((3, 2), np.int32), views)
  assert ranks.of_whole_gallery is None
