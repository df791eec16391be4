"""Stores of embeddings, to be searched and scored without a network."""

from gaitkd_jax.evaluation.store.store import DTYPES
from gaitkd_jax.evaluation.store.store import HEADER
from gaitkd_jax.evaluation.store.store import EmbeddingStore
from gaitkd_jax.evaluation.store.store import is_store
from gaitkd_jax.evaluation.store.store import write

__all__ = ("DTYPES", "HEADER", "EmbeddingStore", "is_store", "write")
