"""Part-structured gait networks, built from a config by name."""

from gaitkd_jax.models.registry import MODELS
from gaitkd_jax.models.registry import abstract_variables
from gaitkd_jax.models.registry import create_model
from gaitkd_jax.models.registry import init_variables

__all__ = ["MODELS", "abstract_variables", "create_model", "init_variables"]
