"""What is particular to one data set; everything else is shared."""

from collections.abc import Callable
import dataclasses

import numpy as np

from data_pipelines import partitions
from data_pipelines import pretreatment
from data_pipelines import tree


@dataclasses.dataclass(frozen=True)
class Source:
  """A data set's folders, pickles, frames and subjects.

  Attributes:
    title: its name for people.
    layouts: how its folders may be named; the first that fits counts.
    partition: who trains and who tests, as the benchmark says.
    pretreat: what cuts, scales and centres one raw frame, uint8 [h, w] to
      uint8 [64, 64] or None; frames of 64 x 64 or 64 x 44 do not pass it.
    pickles: (modality, index or part of the name) of the pickles that the user
      chose in folders of several.
    pickle_of: (i, n): where a folder holds n pickles, the i-th (from 0, by
      name) holds the silhouettes.
  """

  title: str
  layouts: tuple[tree.Layout, ...]
  partition: partitions.Partition
  pretreat: Callable[[np.ndarray], np.ndarray | None] = (
    pretreatment.pretreat_frame
  )
  pickles: tuple[tuple[str, str], ...] = ()
  pickle_of: tuple[int, int] | None = None
