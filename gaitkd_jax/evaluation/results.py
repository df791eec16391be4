"""What an evaluation found: everything that is printed, written or drawn."""

import dataclasses

from gaitkd_jax.evaluation import embedded as embedded_lib
from gaitkd_jax.evaluation import metrics as metrics_lib
from gaitkd_jax.evaluation.protocols import left_out as left_out_lib
from gaitkd_jax.evaluation.protocols import protocol as protocol_lib
from gaitkd_jax.evaluation.protocols import ranker as ranker_lib
from gaitkd_jax.evaluation.protocols import ranks as ranks_lib
from gaitkd_jax.evaluation.protocols import verification as verification_lib


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
  """A set of embeddings, evaluated by a protocol.

  Attributes:
    protocol: by which it was evaluated.
    labels: whose embeddings they are.
    ranker: of the embeddings: finds distances and further ranks.
    ranks: where probes find their own subjects, by condition.
    metrics: of the protocol, read from the ranks, in the order of the table.
    verification: by condition; empty where it was not asked for.
    left_out: what these figures say nothing of.
  """

  protocol: protocol_lib.ScoredProtocol
  labels: embedded_lib.Labels
  ranker: ranker_lib.Ranker
  ranks: tuple[ranks_lib.Ranks, ...]
  metrics: tuple[metrics_lib.Metric, ...]
  verification: tuple[verification_lib.Verification, ...] = ()
  left_out: tuple[left_out_lib.LeftOut, ...] = ()

  def flat(self, views: bool = True) -> dict[str, float]:
    """All metrics by flat name, those of verification last.

    Args:
      views: False leaves out the metrics of single views.
    """
    found = list(self.metrics)
    for one in self.verification:
      found += one.metrics()
    return metrics_lib.flat(found, views)
