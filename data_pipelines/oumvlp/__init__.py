"""OU-MVLP (Multi-View Large Population), from PNG files or pickles."""
