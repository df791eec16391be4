"""GaitKD in JAX: train, distil and ship gait recognition models.

Importing this package imports nothing else; take the modules you need:
`from gaitkd_jax import models, losses, evaluate`.
"""
