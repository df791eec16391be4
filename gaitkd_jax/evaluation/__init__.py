"""From a network, or stored embeddings, to metrics, tables and a page.

What it exports is imported when it is asked for: stores and the page's style
are read by programs that do without JAX.
"""

import importlib
from typing import TYPE_CHECKING
from typing import Any

if TYPE_CHECKING:
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
_MODULES = {
  "Embedded": "embedded",
  "Evaluation": "results",
  "Labels": "embedded",
  "Metric": "metrics",
  "MetricName": "metrics",
  "evaluate_embeddings": "scoring",
}


def __getattr__(name: str) -> Any:
  if name not in _MODULES:
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
  return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
