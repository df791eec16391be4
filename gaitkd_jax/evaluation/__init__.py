"""From a network, or stored embeddings, to metrics, tables and a page."""

from gaitkd_jax.evaluation.embedded import Embedded
from gaitkd_jax.evaluation.embedded import Labels
from gaitkd_jax.evaluation.metrics import Metric
from gaitkd_jax.evaluation.metrics import MetricName
from gaitkd_jax.evaluation.results import Evaluation
from gaitkd_jax.evaluation.scoring import evaluate_embeddings

__all__ = (
  "Embedded",
  "Evaluation",
  "Labels",
  "Metric",
  "MetricName",
  "evaluate_embeddings",
)
