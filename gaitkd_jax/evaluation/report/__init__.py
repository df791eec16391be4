"""One evaluation as one HTML page that needs nothing but a browser."""

from gaitkd_jax.evaluation.report.cards import Strips
from gaitkd_jax.evaluation.report.page import write
from gaitkd_jax.evaluation.report.saliency_cards import Looks
from gaitkd_jax.evaluation.report.saliency_cards import Saliency

__all__ = ("Looks", "Saliency", "Strips", "write")
