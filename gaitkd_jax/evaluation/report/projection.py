"""Places sequences on a plane so that near ones stay near.

t-SNE (van der Maaten & Hinton, JMLR 2008) is scikit-learn's, UMAP (McInnes et
al., arXiv 1802.03426) that of umap-learn. Both are optional, get the distances
that the protocol compares, and start from the same random places every time.
"""

from typing import NamedTuple
import warnings

import numpy as np

from gaitkd_jax.evaluation.protocols import ranker as ranker_lib

# What `project` can do: its name in print, and what to install for it.
KINDS = {
  "tsne": ("t-SNE", "scikit-learn"),
  "umap": ("UMAP", "umap-learn"),
}
# Seconds of one core: some 6 for so many by t-SNE.
_MOST = 2000
_FEWEST = 5  # of which the neighbours of one are still fewer than all
_PERPLEXITY = 30
_NEIGHBOURS = 15


class Drawn(NamedTuple):
  """Sequences that are drawn of a set.

  Attributes:
    rows: int `[m]`, ascending.
    subjects: codes of the subjects that are told apart, ascending.
  """

  rows: np.ndarray
  subjects: np.ndarray


def draw(
  subjects: np.ndarray, told_apart: int, most: int = _MOST, seed: int = 0
) -> Drawn:
  """Draws sequences: all of some subjects, then any of the others.

  Args:
    subjects: int `[n]`, codes from 0.
    told_apart: how many subjects are wanted whole: those with the most
      sequences, of equal ones any.
    most: how many sequences to draw at most.
    seed: of the draw.
  """
  generator = np.random.default_rng(seed)
  counts = np.bincount(subjects)
  order = np.lexsort((generator.random(len(counts)), -counts))
  chosen = np.sort(order[:told_apart])
  first = np.isin(subjects, chosen)
  rows = generator.permutation(len(subjects))
  rows = rows[np.argsort(~first[rows], kind="stable")][:most]
  return Drawn(np.sort(rows), chosen)


def distances(ranker: ranker_lib.Ranker, rows: np.ndarray) -> np.ndarray:
  """The protocol's distance of every two rows, float32 `[m, m]`."""
  result = np.zeros((len(rows), len(rows)), np.float32)
  for p, g, block in ranker.blocks(rows, rows):
    result[p, g] = block
  # Rounding leaves both halves different, and a distance to oneself.
  result = np.maximum((result + result.T) / 2, 0)
  np.fill_diagonal(result, 0)
  return result


def project(distance: np.ndarray, kind: str, seed: int = 0) -> np.ndarray:
  """Places on a plane, the same in every call.

  Args:
    distance: `[m, m]`, symmetric, 0 on the diagonal; m at least 5.
    kind: "tsne" (at most 30 neighbours weigh: its perplexity) or "umap" (15
      neighbours).
    seed: of the places at the start.

  Returns:
    float32 `[m, 2]`; lengths have no unit.

  Raises:
    ValueError: too few sequences, or an unknown kind.
    ImportError: the library of the kind is not installed, see `KINDS`.
  """
  items = len(distance)
  if items < _FEWEST:
    raise ValueError(f"{items} sequences make no map; give {_FEWEST} or more")
  if kind not in KINDS:
    raise ValueError(f"kind is {kind!r}; give one of {', '.join(KINDS)}")
  with warnings.catch_warnings():
    # Both say what they do with distances that are given.
    warnings.simplefilter("ignore")
    found = _PROJECTIONS[kind](distance, seed)
  return np.asarray(found, np.float32)


def _tsne(distance: np.ndarray, seed: int) -> np.ndarray:
  from sklearn import manifold
  import threadpoolctl

  tsne = manifold.TSNE(
    perplexity=min(_PERPLEXITY, (len(distance) - 1) / 3),
    metric="precomputed",
    init="random",
    random_state=seed,
  )
  # Its threads wait for each other in a loop: on two busy cores two of them
  # take ten times as long as one.
  with threadpoolctl.threadpool_limits(1):
    return tsne.fit_transform(distance)


def _umap(distance: np.ndarray, seed: int) -> np.ndarray:
  import umap

  return umap.UMAP(
    n_neighbors=min(_NEIGHBOURS, len(distance) - 1),
    metric="precomputed",
    init="random",
    random_state=seed,
    n_jobs=1,
  ).fit_transform(distance)


_PROJECTIONS = {"tsne": _tsne, "umap": _umap}
