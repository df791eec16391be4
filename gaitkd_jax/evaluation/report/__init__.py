"""One evaluation as one HTML page that needs nothing but a browser."""

import importlib
from typing import TYPE_CHECKING
from typing import Any

if TYPE_CHECKING:
  from gaitkd_jax.evaluation.report.cards import Strips
  from gaitkd_jax.evaluation.report.page import write
  from gaitkd_jax.evaluation.report.saliency_cards import Looks
  from gaitkd_jax.evaluation.report.saliency_cards import Saliency

__all__ = ("Looks", "Saliency", "Strips", "write")
# Imported when asked for: the style alone does without JAX.
_MODULES = {
  "Looks": "saliency_cards",
  "Saliency": "saliency_cards",
  "Strips": "cards",
  "write": "page",
}


def __getattr__(name: str) -> Any:
  if name not in _MODULES:
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
  return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
