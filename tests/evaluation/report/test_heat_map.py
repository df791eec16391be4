"""Rank-1 by pairs of views, in colours."""

import io

from matplotlib import image
import numpy as np
import pytest

from gaitkd_jax.evaluation.report import heat_map


@pytest.mark.parametrize("views", [2, 16])
def test_it_says_the_range_and_fits_a_phone(views):
  names = np.array([f"view {i}" for i in range(views)])
  values = np.linspace(60, 100, views**2).reshape(views, views)
  values[0, 1] = np.nan
  chart = heat_map.draw("views_NM", "NM", names, names, values, 50)
  assert chart.name == "views_NM"
  assert chart.alt.endswith("gallery view, NM: 60.00 to 100.00 percent")
  assert chart.width <= 370
  light, dark = (
    image.imread(io.BytesIO(png)) for png in (chart.light, chart.dark)
  )
  assert light.shape == dark.shape == (2 * chart.height, 2 * chart.width, 4)
  assert light[0, 0, 0] == 1 and dark[0, 0, 0] < 0.2


def test_no_pair_at_all():
  names = np.array(["a"])
  chart = heat_map.draw("x", "x", names, names, np.full((1, 1), np.nan), 0)
  assert chart.alt.endswith("no figure")
