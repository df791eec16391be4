"""Gait3D, from PNG silhouettes or pickles."""
