"""Names of the arrays in a tree, such as "params/stem/kernel", and old ones."""

from collections.abc import Sequence
import re
from typing import Any

import jax

# What arrays were called when a convolution and its normalisation were two
# modules side by side, and what they are called now.
_ARRAY = r"(scale|bias|mean|var)"
_RENAMED = (
  (re.compile(r"/conv/kernel$"), "/kernel"),
  (re.compile(rf"/bn([12])/{_ARRAY}$"), r"/conv\1/norm/\2"),
  (re.compile(rf"_bn/{_ARRAY}$"), r"/norm/\1"),
)


def name(path: Sequence[Any]) -> str:
  """The name of an array, from its path in a tree."""
  return "/".join(str(getattr(k, "key", getattr(k, "name", k))) for k in path)


def current(old: str) -> str:
  """What an array is called now, by any name that it has had."""
  for pattern, replacement in _RENAMED:
    old = pattern.sub(replacement, old)
  return old


def shapes(tree: Any) -> dict[str, tuple[int, ...]]:
  """The shapes of a tree by the names of its arrays."""
  return {
    name(path): tuple(leaf.shape)
    for path, leaf in jax.tree.leaves_with_path(tree)
    if hasattr(leaf, "shape")
  }


def by_current_name(tree: Any) -> dict[str, Any]:
  """The arrays of a tree by what they are called now."""
  leaves = jax.tree.leaves_with_path(tree)
  return {current(name(path)): leaf for path, leaf in leaves}
