"""OU-MVLP (OU-ISIR Gait Database, Multi-View Large Population), from PNG silhouettes or pickles."""
