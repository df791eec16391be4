"""Scores embeddings by a protocol: functions of arrays."""

import dataclasses
from typing import Any

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax.evaluation import distances
from gaitkd_jax.evaluation import embedded as embedded_lib
from gaitkd_jax.evaluation import protocols
from gaitkd_jax.evaluation import results
from gaitkd_jax.evaluation import store as store_lib
from gaitkd_jax.evaluation.protocols import left_out as left_out_lib
from gaitkd_jax.evaluation.protocols import ranker as ranker_lib
from gaitkd_jax.evaluation.protocols import verification as verification_lib

_BLOCK = 4096


def evaluate_embeddings(
  protocol: str,
  embeddings: np.ndarray,
  subjects: np.ndarray,
  conditions: np.ndarray,
  views: np.ndarray,
  metric: str = "euclidean",
  memory_gib: float = 1.0,
  verification: bool = False,
  **options: Any,
) -> dict[str, float]:
  """Scores embeddings.

  Args:
    protocol: a key of `protocols.PROTOCOLS`, but no submission.
    embeddings: `[n, p, d]`, one a sequence.
    subjects: str `[n]`.
    conditions: str `[n]`, such as "nm-01".
    views: str `[n]`, such as "090".
    metric: "euclidean" or "cosine", averaged over parts.
    memory_gib: bound of the distances that are in memory at once.
    verification: adds "EER", "TAR@FAR=<rate>" and "threshold@FAR=<rate>", see
      `protocols.verification`.
    **options: of the protocol, names "<subject>-<condition>-<view>": `probes`
      for gait3d, and `gallery` if it is not all the rest; both for lists; none
      for the others.

  Returns:
    Percentages by name, "<condition>/<metric>" ("all/..." where there is but
    one condition): "rank1", "rank5", ...: identical views left out in casiab,
    casiae, oumvlp, ccpg and sustech1k; of those also "rank1_identical_view",
    "rank1_all_views" and "view/<probe view>" (Rank-1). "mAP" in the protocols
    of a cross-view gallery, with "mINP" in gait3d and lists; "reid_rank1",
    "reid_mAP", "reid_mINP" in ccpg. "mean/..." over the conditions of casiab,
    casiae and ccpg. Conditions without a probe or a gallery are left out.

  Raises:
    errors.UserError: unknown protocol or option, wrong shapes, embeddings that
      are not finite, no gallery or no probe, probes that do not exist.
  """
  labels = embedded_lib.Labels.of(subjects, conditions, views)
  embedded = embedded_lib.Embedded(embeddings, labels, options)
  found = evaluate(protocols.find(protocol), embedded, metric, memory_gib)
  return (verified(found) if verification else found).flat()


def evaluate(
  protocol: protocols.EvaluationProtocol,
  embedded: embedded_lib.Embedded,
  metric: str = "euclidean",
  memory_gib: float = 1.0,
) -> results.Evaluation:
  """Ranks the gallery for every probe, and averages as the protocol does.

  Args:
    protocol: no submission.
    embedded: the set.
    metric: of `distances.METRICS`.
    memory_gib: bound of the distances that are in memory at once.

  Raises:
    errors.UserError: see `evaluate_embeddings`.
  """
  embedded = checked(protocol, embedded, metric)
  if not isinstance(protocol, protocols.ScoredProtocol):
    raise errors.UserError(
      f"protocol {protocol.name} makes a file for a server, which keeps the "
      "metrics; use --mode=score"
    )
  labels = embedded.labels
  ranker = ranker_lib.Ranker(
    embedded.embeddings, labels.subjects, metric, memory_gib
  )
  every = protocol.probe_galleries(labels, embedded.options)
  ranks = tuple(protocol.rank(ranker, compared) for compared in every)
  return results.Evaluation(
    protocol,
    labels,
    ranker,
    ranks,
    tuple(protocol.metrics(ranks)),
    left_out=tuple(protocol.left_out(labels, every)),
  )


def verified(evaluation: results.Evaluation) -> results.Evaluation:
  """Adds verification: how well a threshold tells people apart."""
  found = tuple(
    verification_lib.verify(evaluation.ranker, ranks.compared)
    for ranks in evaluation.ranks
  )
  left_out = list(evaluation.left_out)
  for one, ranks in zip(found, evaluation.ranks, strict=True):
    left_out += left_out_lib.without_match(
      evaluation.labels, ranks.compared, "TAR and EER"
    )
    left_out += one.left_out()
  return dataclasses.replace(
    evaluation, verification=found, left_out=tuple(left_out)
  )


def checked(
  protocol: protocols.EvaluationProtocol,
  embedded: embedded_lib.Embedded,
  metric: str,
) -> embedded_lib.Embedded:
  """Checks a set, and makes arrays of what may be lists.

  Raises:
    errors.UserError: see `evaluate_embeddings`.
  """
  if metric not in distances.METRICS:
    raise errors.UserError(
      f"eval.metric is {metric!r}; give one of {', '.join(distances.METRICS)}"
    )
  unknown = [name for name in embedded.options if name not in protocol.options]
  if unknown:
    raise errors.UserError(
      f"protocol {protocol.name} has no option {', '.join(unknown)}; it has "
      f"{', '.join(protocol.options) or 'none'}"
    )
  embeddings, labels = embedded.embeddings, embedded.labels
  if not isinstance(embeddings, store_lib.EmbeddingStore):
    embeddings = np.asarray(embeddings)
  if len(embeddings.shape) != 3 or not all(embeddings.shape[1:]):
    raise errors.UserError(
      f"embeddings have the shape {list(embeddings.shape)}; give "
      "[sequences, parts, channels]"
    )
  counts = [len(x) for x in (labels.subjects, labels.conditions, labels.views)]
  if {len(embeddings)} != set(counts):
    raise errors.UserError(
      f"{len(embeddings)} embeddings, {counts[0]} subjects, {counts[1]} "
      f"conditions and {counts[2]} views; give one of each a sequence"
    )
  finite = np.ones(len(embeddings), bool)
  for i in range(0, len(embeddings), _BLOCK):
    block = slice(i, i + _BLOCK)
    finite[block] = np.isfinite(embeddings[block]).all(axis=(1, 2))
  if not finite.all():
    first = int(np.argmin(finite))
    raise errors.UserError(
      f"{np.sum(~finite)} embeddings are not finite, the first that of "
      f"sequence {labels.names[first]} (number {first}); the network or its "
      "checkpoint is broken"
    )
  return dataclasses.replace(embedded, embeddings=embeddings)
