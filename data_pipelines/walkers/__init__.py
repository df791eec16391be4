"""Synthetic walking people, rendered as silhouettes."""
