"""Embeddings, and whose they are."""

from collections.abc import Mapping
import dataclasses
import types
from typing import Any

import numpy as np

NO_OPTIONS: Mapping[str, Any] = types.MappingProxyType({})


@dataclasses.dataclass(frozen=True, eq=False)
class Labels:
  """Who walks in each sequence, how, and seen from where.

  Attributes:
    subjects: str `[n]`.
    conditions: str `[n]`, such as "nm-01".
    views: str `[n]`, such as "090".
  """

  subjects: np.ndarray
  conditions: np.ndarray
  views: np.ndarray

  @classmethod
  def of(cls, subjects: Any, conditions: Any, views: Any) -> "Labels":
    """Makes labels of anything like an array; numbers become text."""
    return cls(
      *(np.asarray(x).astype(str) for x in (subjects, conditions, views))
    )

  @property
  def names(self) -> np.ndarray:
    """Names of the sequences, "<subject>-<condition>-<view>": str `[n]`."""
    labels = zip(self.subjects, self.conditions, self.views, strict=True)
    return np.array(["-".join(label) for label in labels], dtype=str)

  def __len__(self) -> int:
    return len(self.subjects)

  def __getitem__(self, rows: slice | np.ndarray) -> "Labels":
    return Labels(self.subjects[rows], self.conditions[rows], self.views[rows])


@dataclasses.dataclass(frozen=True, eq=False)
class Embedded:
  """A set of sequences that can be scored.

  Attributes:
    embeddings: `[n, p, d]`: an array or an `EmbeddingStore`.
    labels: n of them.
    options: of the protocol, such as `probes`; see
      `protocols.EvaluationProtocol`.
  """

  embeddings: Any
  labels: Labels
  options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
