"""Small parts of the walkers, without faults."""

from data_pipelines.walkers import sequence
from data_pipelines.walkers import spec as spec_lib

CLEAN = spec_lib.Spec(noise=0.0)
SHORT = spec_lib.Size(5, 3, ("000", "090"), 4, ("nm-01", "bg-01"))


def mean(subject, condition, view, size="full"):
  """The mean silhouette of a sequence without faults, 0 to 1."""
  frames = sequence.render_sequence(size, subject, condition, view, CLEAN)
  return (frames / 255.0).mean(axis=0)
