"""CCPG (Cloth-Changing Person Gait), from PNG silhouettes or pickles."""
