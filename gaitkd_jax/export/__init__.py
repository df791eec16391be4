"""Networks for other runtimes; `python -m gaitkd_jax.export`."""
