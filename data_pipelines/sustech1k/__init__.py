"""SUSTech1K, from PNG silhouettes or pickles."""
