"""Data sets and input pipelines; the only part that needs TensorFlow."""

import os

# TensorFlow reads these when it is loaded; they silence notices of its build.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
