"""Scores embeddings by a protocol: functions of arrays."""

from collections.abc import Mapping
import dataclasses
from typing import Any

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax.evaluation import distances
from gaitkd_jax.evaluation import protocols
from gaitkd_jax.evaluation import store as store_lib
from gaitkd_jax.evaluation.protocols import ranks
from gaitkd_jax.evaluation.protocols import searches
from gaitkd_jax.evaluation.protocols import submissions
from gaitkd_jax.evaluation.protocols import verification as verification_lib

_BLOCK = 4096


@dataclasses.dataclass(frozen=True, eq=False)
class Embedded:
  """Embeddings and whose they are.

  Attributes:
    embeddings: `[n, p, d]`.
    subjects: str `[n]`.
    conditions: str `[n]`.
    views: str `[n]`.
    options: of the protocol, such as `probes`.
  """

  embeddings: Any
  subjects: np.ndarray
  conditions: np.ndarray
  views: np.ndarray
  options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  @property
  def names(self) -> np.ndarray:
    """Names of the sequences, str `[n]`."""
    return searches.names_of(self.subjects, self.conditions, self.views)


def evaluate_embeddings(
  protocol: str,
  embeddings: np.ndarray,
  subjects: np.ndarray,
  conditions: np.ndarray,
  views: np.ndarray,
  metric: str = "euclidean",
  memory_gib: float = 1.0,
  verification: bool = False,
  **options,
) -> dict[str, float]:
  """Scores embeddings.

  Args:
    protocol: a key of `protocols.PROTOCOLS`.
    embeddings: `[n, p, d]`, one a sequence.
    subjects: str `[n]`.
    conditions: str `[n]`, such as "nm-01".
    views: str `[n]`, such as "090".
    metric: "euclidean" or "cosine", averaged over parts.
    memory_gib: bound of the distances that are in memory at once.
    verification: adds the figures of `protocols.verification`.
    **options: of the protocol, names "<subject>-<condition>-<view>": `probes`
      for gait3d; `probes` and `gallery` for lists; none for the others.

  Returns:
    Percentages by name, "<condition>/<figure>" ("all/..." where there is one):
    "rank1", "rank5", ...: identical views left out in casiab, casiae, oumvlp,
    ccpg and sustech1k; of those also "rank1_identical_view", "rank1_all_views"
    and "view/<probe view>" (Rank-1). "mAP" in the protocols of a cross-view
    gallery, with "mINP" in gait3d and lists; "reid_rank1", "reid_mAP",
    "reid_mINP" in ccpg. "mean/..." over the conditions of casiab, casiae and
    ccpg. Conditions without a probe or a gallery are left out.

  Raises:
    errors.UserError: unknown protocol or option, wrong shapes, embeddings that
      are not finite, no gallery or no probe, probes that do not exist.
  """
  embedded = checked(
    protocol, embeddings, subjects, conditions, views, metric, options
  )
  found = score(protocol, embedded, metric, memory_gib, verification)
  return found.results | found.verification


@dataclasses.dataclass(frozen=True)
class Scores:
  """What a protocol found.

  Attributes:
    results: the protocol's figures.
    verification: those of `protocols.verification`, if they were asked for.
    curves: what these are read from, by condition.
  """

  results: dict[str, float]
  verification: dict[str, float] = dataclasses.field(default_factory=dict)
  curves: Mapping[str, verification_lib.Curve] = dataclasses.field(
    default_factory=dict
  )


def score(
  protocol: str,
  embedded: Embedded,
  metric: str,
  memory_gib: float,
  verification: bool,
) -> Scores:
  """Scores embeddings that `evaluate_embeddings` would accept."""
  scorer = protocols.PROTOCOLS[protocol]
  labels = embedded.subjects, embedded.conditions, embedded.views
  ranker = ranks.Ranker(
    embedded.embeddings, embedded.subjects, metric, memory_gib
  )
  results = scorer(ranker, *labels, **embedded.options)
  if not verification:
    return Scores(results)
  curves = {
    trial.name: verification_lib.curve(ranker, trial)
    for trial in scorer.trials(*labels, **embedded.options)
  }
  return Scores(results, verification_lib.all_figures(curves), curves)


def checked(
  protocol: str,
  embeddings: Any,
  subjects: Any,
  conditions: Any,
  views: Any,
  metric: str,
  options: Mapping[str, Any],
) -> Embedded:
  """The arguments of `evaluate_embeddings`, which see; raises a UserError."""
  check_protocol(protocol)
  every = {**protocols.PROTOCOLS, **submissions.SUBMISSIONS}
  if metric not in distances.METRICS:
    raise errors.UserError(
      f"eval.metric is {metric!r}; give one of {', '.join(distances.METRICS)}"
    )
  known = every[protocol].options
  unknown = [name for name in options if name not in known]
  if unknown:
    raise errors.UserError(
      f"protocol {protocol} has no option {', '.join(unknown)}; it has "
      f"{', '.join(known) or 'none'}"
    )
  if not isinstance(embeddings, store_lib.EmbeddingStore):
    embeddings = np.asarray(embeddings)
  labels = [np.asarray(x).astype(str) for x in (subjects, conditions, views)]
  if len(embeddings.shape) != 3 or not all(embeddings.shape[1:]):
    raise errors.UserError(
      f"embeddings have the shape {list(embeddings.shape)}; give "
      "[sequences, parts, channels]"
    )
  if {len(embeddings)} != {len(x) for x in labels}:
    counts = [len(x) for x in labels]
    raise errors.UserError(
      f"{len(embeddings)} embeddings, {counts[0]} subjects, {counts[1]} "
      f"conditions and {counts[2]} views; give one of each a sequence"
    )
  finite = np.ones(len(embeddings), bool)
  for i in range(0, len(embeddings), _BLOCK):
    block = slice(i, i + _BLOCK)
    finite[block] = np.isfinite(embeddings[block]).all(axis=(1, 2))
  if not finite.all():
    i = np.argmin(finite)
    raise errors.UserError(
      f"{np.sum(~finite)} embeddings are not finite, the first that of "
      f"sequence {'-'.join(x[i] for x in labels)} (number {i}); the network or "
      "its checkpoint is broken"
    )
  return Embedded(embeddings, *labels, options)


def check_labels(protocol: str, embedded: Embedded) -> None:
  """Raises a UserError for labels that a protocol could not score."""
  labels = embedded.subjects, embedded.conditions, embedded.views
  if protocol in submissions.SUBMISSIONS:
    submissions.SUBMISSIONS[protocol].rows(*labels)
  else:
    protocols.PROTOCOLS[protocol].trials(*labels, **embedded.options)


def check_protocol(protocol: str) -> None:
  """Raises a UserError for an unknown protocol."""
  every = (*protocols.PROTOCOLS, *submissions.SUBMISSIONS)
  if protocol not in every:
    raise errors.UserError(
      f"eval.protocol is {protocol!r}; give one of {', '.join(every)}"
    )
