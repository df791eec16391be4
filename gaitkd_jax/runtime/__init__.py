"""Runs exported networks: numpy and ONNX Runtime, no JAX and no TensorFlow.

from gaitkd_jax import runtime
network = runtime.load("student.onnx")
embeddings = network.embed([silhouettes])  # uint8 [s, 64, 44], 0 to 255
"""

from gaitkd_jax.runtime.exported import Exported
from gaitkd_jax.runtime.exported import load

__all__ = ("Exported", "load")
