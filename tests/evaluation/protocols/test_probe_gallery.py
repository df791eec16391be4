"""Who is probe, who is gallery, and what is not compared."""

import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.evaluation.protocols import probe_gallery

CONDITIONS = np.array(["00-nm", "01-cr-bg", "02-bg", "00-nm-cl", "x"])


def test_rows_of_conditions():
  whole = probe_gallery.Conditions(("02-bg", "x"), ("00-nm",))
  probes, gallery = whole.rows(CONDITIONS)
  assert probes.tolist() == [2, 4] and gallery.tolist() == [0]
  part = probe_gallery.Conditions(("bg", "cl"), ("00-nm",), by_substring=True)
  probes, gallery = part.rows(CONDITIONS)
  assert probes.tolist() == [1, 2, 3] and gallery.tolist() == [0, 3]


@pytest.mark.parametrize("array", [np.array, jnp.array])
@pytest.mark.parametrize(
  "excluded, expected",
  [
    (probe_gallery.Excluded.NOTHING, [False, False, False, False]),
    (probe_gallery.Excluded.VIEW, [True, False, True, False]),
    (probe_gallery.Excluded.SUBJECT_IN_VIEW, [True, False, False, False]),
  ],
)
def test_excluded_pairs(array, excluded, expected):
  same_subject = array([[True, True, False, False]])
  same_view = array([[True, False, True, False]])
  found = excluded.pairs(same_subject, same_view)
  assert found.tolist() == [expected]


def test_groups_that_lack_a_side_are_left_out():
  groups = {
    "BG": probe_gallery.Conditions(("02-bg",), ("00-nm",)),
    "CL": probe_gallery.Conditions(("none",), ("00-nm",)),
  }
  views = np.array(list("abcde"))
  excluded = probe_gallery.Excluded.VIEW
  (found,) = probe_gallery.by_condition(groups, CONDITIONS, views, excluded)
  assert (found.condition, found.excluded) == ("BG", excluded)
  assert found.views_of(found.probes).tolist() == ["c"]
  assert found.view_codes().tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
  "conditions, words",
  [
    (["00-nm"] * 2, r"no sequence has a probe condition \(02-bg, none\)"),
    (["02-bg"] * 2, r"no sequence has a gallery condition \(00-nm, x\)"),
    (["02-bg", "x"], "none of BG, CL has both probes and a gallery"),
  ],
)
def test_no_group_is_one_line(conditions, words):
  groups = {
    "BG": probe_gallery.Conditions(("02-bg",), ("00-nm",)),
    "CL": probe_gallery.Conditions(("none",), ("x",)),
  }
  with pytest.raises(errors.UserError, match=words) as error:
    probe_gallery.by_condition(groups, np.array(conditions))
  assert "\n" not in str(error.value)


def test_without_views():
  found = probe_gallery.ProbeGallery("all", np.arange(1), np.arange(1, 3))
  assert found.view_codes() is None
  with pytest.raises(ValueError, match="all have no views"):
    found.views_of(found.probes)
