"""One evaluation as one HTML page that needs nothing but a browser."""

from gaitkd_jax.evaluation.report.cards import Strips
from gaitkd_jax.evaluation.report.page import write

__all__ = ("Strips", "write")
