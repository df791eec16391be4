"""Tables as papers print them."""

import numpy as np

from gaitkd_jax.evaluation import metrics as metrics_lib
from gaitkd_jax.evaluation import tables
from gaitkd_jax.evaluation.protocols import left_out
from gaitkd_jax.evaluation.protocols import verification

CASIAB_TABLE = """\
Rank-1 (%) by probe view, identical views left out
           000    018   mean
NM       90.00 100.00  95.00
BG        1.25   2.00   1.62
mean                   48.31"""


PLAIN_TABLE = """\
All figures (%)
         rank1 rank10    mAP
all      50.00 100.00  33.33"""


CCPG_TABLE = """\
Rank-1 (%) by probe view, identical views left out
            01   mean
CL       40.00  40.00
mean            40.00

All figures (%)
         rank1 rank1_all_views reid_rank1
CL       40.00           45.00
mean     40.00           45.00      50.00
rank1 is the gait protocol"""


VERIFICATION_TABLE = """\
Verification (%): equal error rate, true accepts at false accept rates
           EER TAR@FAR=0.1 TAR@FAR=0.01
NM        1.50       99.25            -
BG           -                    12.00"""


def metrics(values):
  """Metrics by flat name."""
  names = {metrics_lib.parse(flat): value for flat, value in values.items()}
  return [
    metrics_lib.Metric(name.condition, name.name, value, name.view)
    for name, value in names.items()
  ]


def test_tables():
  assert (
    tables.format_table(
      metrics(
        {
          "NM/view/000": 90.0,
          "NM/view/018": 100.0,
          "NM/rank1": 95.0,
          "NM/rank1_identical_view": 99.0,
          "BG/view/000": 1.25,
          "BG/view/018": 2.0,
          "BG/rank1": 1.625,
          "mean/rank1": 48.3125,
        }
      )
    )
    == CASIAB_TABLE
  )
  assert (
    tables.format_table(
      metrics({"all/rank1": 50.0, "all/rank10": 100.0, "all/mAP": 100 / 3})
    )
    == PLAIN_TABLE
  )
  text = tables.format_table(
    metrics(
      {
        "CL/view/01": 40.0,
        "CL/rank1": 40.0,
        "CL/rank1_all_views": 45.0,
        "mean/rank1": 40.0,
        "mean/rank1_all_views": 45.0,
        "mean/reid_rank1": 50.0,
      }
    )
  )
  assert (
    "\n".join(line.rstrip() for line in text.split("\n"))[: len(CCPG_TABLE)]
    == CCPG_TABLE
  )
  longest = {f"overall_long/view/{i:03}": 1.0 for i in range(15)}
  assert tables.format_table(
    metrics(longest | {"overall_long/rank1": 1.0})
  ) == (
    "Rank-1 (%) by probe view, identical views left out\n"
    "                mean\n"
    "overall_long    1.00"
  )


def test_the_table_of_verification():
  nan = float("nan")
  none = np.zeros(0)
  curve = verification.Curve(none, none, none, 0)
  one = verification.Verification(
    "NM",
    1.5,
    (
      verification.OperatingPoint(0.1, 99.25, 7.0),
      verification.OperatingPoint(0.01, nan, nan),
    ),
    curve,
  )
  other = verification.Verification(
    "BG", nan, (verification.OperatingPoint(0.01, 12.0, 3.0),), curve
  )
  assert tables.format_verification([one, other]) == VERIFICATION_TABLE


def test_what_was_left_out():
  assert tables.format_left_out([]) == ""
  one = left_out.LeftOut.of(
    "NM", ["a", "b", "c", "d"], "pair of views", "the mean", "it is dark"
  )
  none = left_out.LeftOut("", 0, "", "TAR@FAR=0.1", "too few pairs")
  assert tables.format_left_out([one, none]) == (
    "Left out of these figures:\n"
    "  NM: 4 pairs of views from the mean: it is dark (a, b, c, ...)\n"
    "  TAR@FAR=0.1: too few pairs"
  )
