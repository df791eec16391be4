"""From a network, or stored embeddings, to figures, tables and a page."""

from gaitkd_jax.evaluation.scoring import evaluate_embeddings

__all__ = ["evaluate_embeddings"]
