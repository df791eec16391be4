"""The training loop and what it is made of: step, optimiser, logs."""
