"""What an evaluation protocol declares; `PROTOCOLS` lists those there are."""

import abc
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any
from typing import ClassVar

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax.evaluation import embedded as embedded_lib
from gaitkd_jax.evaluation import metrics as metrics_lib
from gaitkd_jax.evaluation.protocols import left_out as left_out_lib
from gaitkd_jax.evaluation.protocols import probe_gallery
from gaitkd_jax.evaluation.protocols import ranker as ranker_lib
from gaitkd_jax.evaluation.protocols import ranks as ranks_lib


class EvaluationProtocol(abc.ABC):
  """A way to evaluate embeddings: a `ScoredProtocol` or a `Submission`.

  It declares who is probe and who is gallery, what it has to be told for that
  and where this comes from in a run, and the metric that decides.

  Attributes:
    name: that of `config.eval.protocol`.
    primary_metric: the metric by which checkpoints are compared; None of a
      submission.
    options: the names of what the protocol has to be told beside embeddings
      and labels: the `**options` of `evaluate_embeddings`.
    no_role: why a sequence would be neither probe nor gallery.
    listed_by_data: whether `roles` are lists of the data set.
  """

  name: str
  primary_metric: metrics_lib.MetricName | None
  options: ClassVar[tuple[str, ...]] = ()
  no_role: ClassVar[str] = "their conditions are of no probe and no gallery"
  listed_by_data: ClassVar[bool] = False

  @abc.abstractmethod
  def probe_galleries(
    self,
    labels: embedded_lib.Labels,
    options: Mapping[str, Any] = embedded_lib.NO_OPTIONS,
  ) -> list[probe_gallery.ProbeGallery]:
    """Who is probe and who is gallery, by condition.

    Args:
      labels: of the whole set.
      options: of the protocol.

    Raises:
      errors.UserError: the set cannot be evaluated; it lacks probes or a
        gallery, for example.
    """

  def left_out(
    self,
    labels: embedded_lib.Labels,
    compared: Sequence[probe_gallery.ProbeGallery],
  ) -> list[left_out_lib.LeftOut]:
    """What of the set some figures, or all, say nothing of.

    Sequences without a role; a protocol adds what it leaves out of a mean.

    Args:
      labels: of the whole set.
      compared: `probe_galleries` of these labels.
    """
    return left_out_lib.of_no_role(labels, compared, self.no_role)

  def roles(
    self,
    config: Any,
    data_roles: Callable[[], Mapping[str, Sequence[str]]],
  ) -> dict[str, Sequence[str]]:
    """The options that name sequences; stores of embeddings keep them.

    Args:
      config: the section `eval` of a config.
      data_roles: returns the names that the data set lists, by role: "probes"
        (none where it lists none), and "gallery" where it lists that.

    Raises:
      errors.UserError: the protocol needs lists and the config gives none, or
        the other way round.
    """
    del data_roles
    if config.lists:
      raise errors.UserError(
        f"config.eval.lists is {config.lists}, but protocol {self.name} has "
        "lists of its own; set config.eval.protocol=lists"
      )
    return {}

  def settings(self, config: Any) -> dict[str, Any]:
    """The options that the section `eval` of a config sets."""
    del config
    return {}


@dataclasses.dataclass(frozen=True)
class ViewPairs:
  """Rank-1 of every pair of views under one condition.

  Attributes:
    condition: of the probes.
    probe_views: str `[v]`.
    gallery_views: str `[w]`.
    rank1: `[v, w]` in percent, rounded to two decimals; NaN where there is no
      such pair.
  """

  condition: str
  probe_views: np.ndarray
  gallery_views: np.ndarray
  rank1: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoredProtocol(EvaluationProtocol):
  """A protocol that ranks the gallery for every probe, and averages.

  Ranks take time and metrics do not: whatever is reported of an evaluation is
  read from the same ranks.

  Attributes:
    name: see `EvaluationProtocol`.
    primary_metric: if it is a mean over conditions, these means are reported.
    reported_ranks: which Rank-k are reported.
  """

  name: str
  primary_metric: metrics_lib.MetricName
  reported_ranks: tuple[int, ...] = (1,)

  @abc.abstractmethod
  def rank(
    self,
    ranker: ranker_lib.Ranker,
    compared: probe_gallery.ProbeGallery,
  ) -> ranks_lib.Ranks:
    """Ranks the gallery for the probes of one condition.

    Args:
      ranker: of the whole set.
      compared: one of `probe_galleries`.
    """

  @abc.abstractmethod
  def condition_metrics(
    self, ranks: ranks_lib.Ranks, reported_ranks: Sequence[int]
  ) -> list[metrics_lib.Metric]:
    """The metrics of one condition.

    Args:
      ranks: of `rank`.
      reported_ranks: which Rank-k are wanted, 1 among them.

    Raises:
      errors.UserError: nothing can be said of these ranks.
    """

  def metrics(
    self,
    ranks: Sequence[ranks_lib.Ranks],
    reported_ranks: Sequence[int] | None = None,
  ) -> list[metrics_lib.Metric]:
    """The metrics of all conditions, and their means if they are reported.

    Args:
      ranks: of every condition.
      reported_ranks: which Rank-k are wanted, by default the protocol's; 1
        among them.
    """
    wanted = reported_ranks or self.reported_ranks
    found = [m for one in ranks for m in self.condition_metrics(one, wanted)]
    if self.primary_metric.condition == metrics_lib.MEAN:
      found += metrics_lib.means(found)
    return found

  def view_pairs(self, ranks: ranks_lib.Ranks) -> ViewPairs | None:
    """Rank-1 by pairs of views; None if views are not ranked one by one."""
    del ranks
    return None


class Submission(EvaluationProtocol):
  """A file for a server, which keeps the labels of the probes."""

  primary_metric = None

  @abc.abstractmethod
  def lines(
    self,
    embedded: embedded_lib.Embedded,
    metric: str = "euclidean",
    memory_gib: float = 1.0,
  ) -> list[str]:
    """The lines of the file, without line ends.

    Args:
      embedded: embeddings are finite.
      metric: of `distances.METRICS`.
      memory_gib: bound of the blocks that are in memory at once.

    Raises:
      errors.UserError: see `probe_galleries`; or distances are not finite.
    """
