"""Verification: is this the same person, at a threshold of the distance.

A product needs this beside ranks. FAR (false accept rate) is the share of pairs
of different subjects at or below the threshold, TAR (true accept rate) that of
pairs of one subject; EER is the error where FAR equals 1 - TAR (ISO/IEC
19795-1).
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from gaitkd_jax.evaluation import metrics as metrics_lib
from gaitkd_jax.evaluation.protocols import left_out as left_out_lib
from gaitkd_jax.evaluation.protocols import probe_gallery
from gaitkd_jax.evaluation.protocols import ranker as ranker_lib
from gaitkd_jax.hosts import together

RATES = (0.1, 0.01, 0.001)
# Thresholds are known to a millionth of the range of distances.
_BINS = 1 << 20


@dataclasses.dataclass(frozen=True, eq=False)
class Curve:
  """Accept rates at every threshold.

  Attributes:
    thresholds: of the distance, ascending, `[t]`.
    far: false accept rate, in [0, 1], `[t]`; NaN without pairs of strangers.
    tar: true accept rate, in [0, 1], `[t]`; NaN without pairs of one subject.
    strangers: number of pairs of different subjects.
  """

  thresholds: np.ndarray
  far: np.ndarray
  tar: np.ndarray
  strangers: int


@dataclasses.dataclass(frozen=True)
class OperatingPoint:
  """True accepts at a threshold that is chosen for a false accept rate.

  Attributes:
    false_accept_rate: at most, in [0, 1].
    true_accepts: percent of the pairs of one subject. NaN without pairs of one
      subject, or with fewer than 1 / rate pairs of strangers.
    threshold: a distance: pairs at or below it are accepted; NaN likewise.
  """

  false_accept_rate: float
  true_accepts: float
  threshold: float


@dataclasses.dataclass(frozen=True, eq=False)
class Verification:
  """How well one threshold tells people apart under one condition.

  Attributes:
    condition: of the probes.
    equal_error: EER in percent; NaN without pairs of one subject or of
      strangers.
    points: at `RATES`.
    curve: from which both are read.
  """

  condition: str
  equal_error: float
  points: tuple[OperatingPoint, ...]
  curve: Curve

  def metrics(self) -> list[metrics_lib.Metric]:
    """As metrics: "EER", "TAR@FAR=<rate>" and "threshold@FAR=<rate>"."""
    values = {"EER": self.equal_error}
    for point in self.points:
      rate = f"{point.false_accept_rate:g}"
      values[f"TAR@FAR={rate}"] = point.true_accepts
      values[f"threshold@FAR={rate}"] = point.threshold
    return [
      metrics_lib.Metric(self.condition, name, value)
      for name, value in values.items()
    ]

  def left_out(self) -> list[left_out_lib.LeftOut]:
    """The rates of which too few pairs of strangers say nothing."""
    return [
      left_out_lib.LeftOut(
        self.condition,
        0,
        "",
        f"TAR@FAR={point.false_accept_rate:g}",
        f"{self.curve.strangers:,} pairs of strangers are fewer than the "
        f"{round(1 / point.false_accept_rate):,} that it takes",
      )
      for point in self.points
      if self.curve.strangers * point.false_accept_rate < 1
    ]


def verify(
  ranker: ranker_lib.Ranker, compared: probe_gallery.ProbeGallery
) -> Verification:
  """Compares every probe with every gallery item that is not excluded.

  Args:
    ranker: of the embeddings.
    compared: the probes and the gallery.
  """
  return read_curve(compared.condition, find_curve(ranker, compared))


def find_curve(
  ranker: ranker_lib.Ranker, compared: probe_gallery.ProbeGallery
) -> Curve:
  """Finds the accept rates at every threshold; see `verify`.

  Of several processes each counts for a part of the probes; all are to call it.
  """
  scale = _BINS / ranker.longest
  total = np.zeros(2 * _BINS, np.int64)
  mine = compared.probes[together.share(len(compared.probes))]
  for block in ranker.blocks_on_device(
    mine, compared.gallery, compared.view_codes()
  ):
    total += np.asarray(
      _histogram(*block, np.float32(scale), compared.excluded)
    )
  # Of strangers, of one subject.
  counts = together.total(total).reshape(2, _BINS)
  used = np.flatnonzero(counts.any(axis=0))
  sums = np.cumsum(counts[:, used], axis=1, dtype=np.float64)
  totals = counts.sum(axis=1)
  far, tar = (
    sums[i] / totals[i] if totals[i] else np.full(len(used), np.nan)
    for i in (0, 1)
  )
  return Curve((used + 1) / scale, far, tar, int(totals[0]))


@functools.partial(jax.jit, static_argnames="excluded")
def _histogram(
  distance: jax.Array,
  probe_codes: jax.Array,
  item_codes: jax.Array,
  scale: jax.Array,
  excluded: probe_gallery.Excluded,
) -> jax.Array:
  """Counts distances by bin: of strangers, then of one subject."""
  same = probe_codes[:, :1] == item_codes[:, 0][None, :]
  kept = (probe_codes[:, :1] >= 0) & (item_codes[:, 0] >= 0)[None, :]
  same_view = probe_codes[:, 1:] == item_codes[:, 1][None, :]
  kept &= ~excluded.pairs(same, same_view)
  bins = jnp.clip((distance * scale).astype(jnp.int32), 0, _BINS - 1)
  bins = jnp.where(kept, bins + jnp.where(same, _BINS, 0), 2 * _BINS)
  return jnp.zeros(2 * _BINS, jnp.int32).at[bins.ravel()].add(1, mode="drop")


def read_curve(condition: str, curve: Curve) -> Verification:
  """Reads the equal error rate and the operating points at `RATES`."""
  points = []
  for rate in RATES:
    true_accepts = threshold = np.nan
    if curve.strangers * rate >= 1 and np.isfinite(curve.tar).all():
      accepted = np.flatnonzero(curve.far <= rate)
      true_accepts = 100 * curve.tar[accepted[-1]] if len(accepted) else 0.0
      threshold = curve.thresholds[accepted[-1]] if len(accepted) else 0.0
    points.append(OperatingPoint(rate, float(true_accepts), float(threshold)))
  return Verification(
    condition, 100 * _equal_error(curve), tuple(points), curve
  )


def _equal_error(curve: Curve) -> float:
  """Where FAR and 1 - TAR cross, interpolated between two thresholds."""
  if not len(curve.far) or np.isnan(curve.far + curve.tar).any():
    return float("nan")
  far = np.concatenate([[0.0], curve.far])
  missed = 1 - np.concatenate([[0.0], curve.tar])
  i = int(np.argmax(far >= missed))
  gap, next_gap = missed[i - 1] - far[i - 1], far[i] - missed[i]
  share = gap / (gap + next_gap)
  return float(far[i - 1] + share * (far[i] - far[i - 1]))
