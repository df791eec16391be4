"""What is particular to one data set; all else is shared by all of them."""

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
    title: its name, as people write it.
    layouts: how its folders may be named; the first that fits is taken.
    partition: who trains and who tests, as the benchmark prescribes.
    pretreat: cuts, scales and centres one raw frame, from uint8 [h, w] to uint8
      [64, 64], or to None if it holds no person. Frames of 64 x 64 or 64 x 44
      pixels are not pre-treated.
    pickles: the user's choice where a folder holds several pickles: pairs of a
      modality and of an index or a part of the name.
    pickle_of: (i, n): if a folder holds n pickles, the i-th (from 0, by name)
      holds the silhouettes.
    skip_damaged: the user's choice to go on without damaged files.
  """

  title: str
  layouts: tuple[tree.Layout, ...]
  partition: partitions.Partition
  pretreat: Callable[[np.ndarray], np.ndarray | None] = (
    pretreatment.pretreat_frame
  )
  pickles: tuple[tuple[str, str], ...] = ()
  pickle_of: tuple[int, int] | None = None
  skip_damaged: bool = False
