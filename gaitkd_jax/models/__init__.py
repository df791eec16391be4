"""Part-structured gait networks, built from a config by name."""

from gaitkd_jax.models.network import GaitNetwork
from gaitkd_jax.models.registry import MODELS
from gaitkd_jax.models.registry import abstract_variables
from gaitkd_jax.models.registry import config_keys
from gaitkd_jax.models.registry import create_model
from gaitkd_jax.models.registry import init_variables
from gaitkd_jax.models.registry import known_kinds

__all__ = [
  "GaitNetwork",
  "MODELS",
  "abstract_variables",
  "config_keys",
  "create_model",
  "init_variables",
  "known_kinds",
]
