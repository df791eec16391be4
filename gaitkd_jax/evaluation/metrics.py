"""What an evaluation measures, and the flat names that files have for it."""

from collections.abc import Iterable
import dataclasses

import numpy as np

# The condition of a mean over conditions.
MEAN = "mean"
_VIEW = "view/"
# The one metric that is reported by probe view.
_BY_VIEW = "rank1"


@dataclasses.dataclass(frozen=True)
class MetricName:
  """What was measured.

  Attributes:
    condition: of the probes, such as "NM"; "all" where a protocol has but one,
      `MEAN` for the mean over conditions.
    name: such as "rank1" or "mAP".
    view: of the probes; None for all views.
  """

  condition: str
  name: str
  view: str | None = None

  @property
  def flat(self) -> str:
    """The name in files: "NM/rank1", or "NM/view/090" for Rank-1 of a view."""
    rest = self.name if self.view is None else f"{_VIEW}{self.view}"
    return f"{self.condition}/{rest}"


@dataclasses.dataclass(frozen=True)
class Metric:
  """A measured number.

  Attributes:
    condition: see `MetricName`.
    name: see there.
    value: percent; NaN where the data cannot have it.
    view: see there.
  """

  condition: str
  name: str
  value: float
  view: str | None = None


def flat(metrics: Iterable[Metric], views: bool = True) -> dict[str, float]:
  """Values by flat name, as files and scripts have them.

  Args:
    metrics: in the order of the result.
    views: False leaves out the metrics of single views.
  """
  return {
    MetricName(m.condition, m.name, m.view).flat: m.value
    for m in metrics
    if views or m.view is None
  }


def parse(text: str) -> MetricName:
  """The inverse of `MetricName.flat`, for files that are read again."""
  condition, _, rest = text.partition("/")
  if rest.startswith(_VIEW):
    return MetricName(condition, _BY_VIEW, rest.removeprefix(_VIEW))
  return MetricName(condition, rest)


def means(metrics: Iterable[Metric]) -> list[Metric]:
  """The mean over conditions of every metric but those of one view."""
  by_name: dict[str, list[float]] = {}
  for metric in metrics:
    if metric.view is None:
      by_name.setdefault(metric.name, []).append(metric.value)
  return [
    Metric(MEAN, name, float(np.mean(values)))
    for name, values in by_name.items()
  ]
