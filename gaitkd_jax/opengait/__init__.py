"""Coming from PyTorch OpenGait: its checkpoints and its configs."""

from gaitkd_jax.opengait.convert import variables_from_opengait
from gaitkd_jax.opengait.convert import variables_to_opengait

__all__ = ["variables_from_opengait", "variables_to_opengait"]
