"""Data sets prepared by TFDS, held in memory and fed as numpy batches."""
