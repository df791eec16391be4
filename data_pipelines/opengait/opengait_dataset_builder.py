"""Any tree in OpenGait's layout as a TFDS dataset."""

from __future__ import annotations

import os
from typing import Any

from data_pipelines import opengait
from data_pipelines import tree_builder


class Builder(tree_builder.TreeBuilder):
  """Prepares any tree; see `tree_builder`."""

  SOURCE = opengait.SOURCE

  @classmethod
  def from_tree(
    cls, root: str | os.PathLike[str], *args: Any, **kwargs: Any
  ) -> Builder:
    """See the base class; refuses folders that are no subjects.

    Raises:
      UserError: see `opengait.check_subjects`, and the base class.
    """
    opengait.check_subjects(root)
    return super().from_tree(root, *args, **kwargs)
