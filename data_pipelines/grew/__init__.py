"""GREW (Gait REcognition in the Wild), from PNG silhouettes or pickles."""
