"""CASIA-B (Gait Database, Dataset B), from PNG silhouettes or pickles."""
