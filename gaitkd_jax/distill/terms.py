"""The table of objectives, and a term: one of them with its weight.

What a kind computes is a pure function of `gaitkd_jax.losses`; its row in
`KINDS` says which arrays that function takes, and a term hands them over, asks
the schedules for weights and options, and keeps what the function remembers.
GaitKD's two levels are rows like any rival; only their weights and options lie
elsewhere, in `config.teachers.<name>`.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import functools
import inspect
from typing import Any

import jax

from gaitkd_jax import errors
from gaitkd_jax import losses
from gaitkd_jax.distill import augmented_clips
from gaitkd_jax.distill import context as context_lib
from gaitkd_jax.distill import kinds
from gaitkd_jax.distill import pairing
from gaitkd_jax.distill import teachers as teachers_lib


def _mean(several: kinds.Several) -> jax.Array:
  return losses.weighted_mean(several.values, several.weights)


def _vote(several: kinds.Several, mode: str) -> jax.Array:
  return losses.boundary_ensemble_loss(
    several.student,
    several.teachers,
    several.weights,
    mode,
    overlaps=several.overlaps,
    **several.options[0],  # all teachers have the same: see `create_levels`
  )


def _side_of(options: Mapping[str, Any]) -> str:
  """The array of a teacher whose signs the boundary level looks at."""
  return "neck" if options.get("centre") == "neck" else "embedding"


def _init_bank(pair: pairing.Pair, size: int) -> losses.Bank:
  widths = (
    outputs["embedding"].shape[2] for outputs in (pair.student, pair.teacher)
  )
  return losses.init_bank(size, pair.common_parts, *widths)


def _init_centres(pair: pairing.Pair, classes: int) -> jax.Array:
  if not classes and "logits" in pair.student:
    classes = pair.student["logits"].shape[-1]
  if not classes:
    raise errors.UserError(
      "a term adadistill needs to know how many subjects train: give the "
      "student num_classes, or the term the option classes"
    )
  width = pair.teacher["embedding"].shape[2]
  return losses.init_centres(classes, pair.common_parts, width)


def _init_anchors(pair: pairing.Pair, rates: Sequence[int]) -> losses.Anchors:
  return losses.init_anchors(pair.common_parts, rates)


def _init_threshold(pair: pairing.Pair) -> losses.Threshold:
  del pair
  return losses.init_threshold()


KINDS: Mapping[str, kinds.Kind] = {
  # GaitKD.
  "decision": kinds.Kind(
    losses.decision_loss,
    "logits",
    modes={"mean": _mean},
    diagnostics={"teacher_kl": dict(temperature=1.0)},
    of_teachers=dict(weight="decision_weight", temperature="temperature"),
  ),
  "boundary": kinds.Kind(
    losses.boundary_loss,
    "embedding",
    modes={
      mode: functools.partial(_vote, mode=mode) for mode in ("vote", "agree")
    },
    teacher_end_point=_side_of,
    measures={
      "bits": losses.boundary_bits,
      "agreement": losses.boundary_agreement,
    },
    of_teachers=dict(
      weight="boundary_weight",
      centre="boundary_centre",
      reduce="boundary_reduce",
    ),
  ),
  # Rivals on logits.
  "kd": kinds.Kind(losses.kd_loss, "logits", calibrated=False),
  "ka_ps": kinds.Kind(losses.ka_ps_loss, "logits"),
  "ka_lsr": kinds.Kind(losses.ka_lsr_loss, "logits"),
  "logit_mse": kinds.Kind(losses.logit_mse_loss, "logits"),
  "standardised_kd": kinds.Kind(losses.standardised_kd_loss, "logits"),
  "dkd": kinds.Kind(losses.dkd_loss, "logits"),
  "gdkd": kinds.Kind(losses.gdkd_loss, "logits"),
  "grouped_kd": kinds.Kind(losses.grouped_kd_loss, "logits"),
  "ofa": kinds.Kind(losses.ofa_loss, "logits"),
  "dist": kinds.Kind(losses.dist_loss, "logits"),
  # Rivals on embeddings.
  "feature_mse": kinds.Kind(losses.feature_mse_loss, "embedding"),
  "unit_mse": kinds.Kind(losses.unit_embedding_mse_loss, "embedding"),
  "cosine": kinds.Kind(losses.embedding_cosine_loss, "embedding"),
  "rkd": kinds.Kind(losses.rkd_loss, "embedding"),
  "similarity": kinds.Kind(losses.similarity_preserving_loss, "embedding"),
  "correlation": kinds.Kind(losses.correlation_congruence_loss, "embedding"),
  "idc": kinds.Kind(losses.idc_loss, "embedding"),
  "contrastive": kinds.Kind(losses.info_nce_loss, "embedding"),
  "relation": kinds.Kind(losses.relation_batch_loss, "embedding"),
  "relation_bank": kinds.Kind(
    losses.relation_bank_loss,
    "embedding",
    memory=kinds.Memory("bank", _init_bank, dict(size=4096)),
  ),
  "instance": kinds.Kind(
    losses.instance_loss,
    "embedding",
    memory=kinds.Memory("threshold", _init_threshold),
  ),
  "ekd": kinds.Kind(
    losses.ekd_loss,
    "embedding",
    memory=kinds.Memory("anchors", _init_anchors, dict(rates=(10, 100, 1000))),
  ),
  "adadistill": kinds.Kind(
    losses.adadistill_loss,
    "embedding",
    memory=kinds.Memory(
      "centres", _init_centres, dict(classes=0), by_class=True
    ),
    calibrated=False,
  ),
  # On feature maps, or on embeddings as maps of parts.
  "attention": kinds.Kind(
    losses.attention_transfer_loss, "embedding", any_end_point=True
  ),
  "channel_wise": kinds.Kind(
    losses.channel_wise_loss, "embedding", any_end_point=True
  ),
  # On augmented copies of the clips.
  "cross_view": kinds.Kind(
    losses.cross_view_loss,
    "logits",
    other_clips=augmented_clips.weak_and_strong,
  ),
  "patch_swap": kinds.Kind(
    losses.patch_swap_loss,
    "logits",
    other_clips=augmented_clips.patch_swap,
    alone=True,
  ),
}


@dataclasses.dataclass(frozen=True)
class Term:
  """An objective with its weights.

  Attributes:
    name: of its metrics, and its key in `config.terms`.
    kind: what it computes.
    weights: by teacher, functions of the step; "" is the key where it needs no
      teacher. A teacher that is left out has no weight.
    options: of the loss, by teacher: values, or functions of the step.
    settings: options of the memory.
    end_points: of the student and of a teacher.
    scale: of the student's cross entropy.
    mode: how teachers are put together: "sum", or one of the kind's modes.
    members: how many teachers there are, those without a weight included.
  """

  name: str
  kind: kinds.Kind
  weights: Mapping[str, teachers_lib.Schedule]
  options: Mapping[str, Mapping[str, Any]]
  settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  end_points: tuple[str, str] = ("embedding", "embedding")
  scale: float = 16.0
  mode: str = "sum"
  members: int = 1

  def key(self, teacher: str) -> str:
    """The name of a teacher's metric and memory."""
    return f"{self.name}/{teacher}" if teacher else self.name

  def end_points_of(self, teacher: str) -> tuple[str, str]:
    """The arrays of the student and of a teacher that are compared."""
    if self.kind.teacher_end_point is None:
      return self.end_points
    found = self.kind.teacher_end_point(self.options[teacher])
    return self.end_points[0], found

  def init_memory(self, pair: pairing.Pair) -> Any:
    """The memory of step 0 for a pair of shapes, or None."""
    if self.kind.memory is None:
      return None
    return self.kind.memory.init(pair, **self.settings)

  def __call__(
    self,
    context: context_lib.Context,
    pairs: Mapping[str, pairing.Pair],
    memory: Mapping[str, Any],
  ) -> tuple[jax.Array, dict[str, jax.Array], dict[str, Any]]:
    """Compares the student with every teacher that has a weight.

    Args:
      context: of the step.
      pairs: by teacher.
      memory: of all terms, by `key`.

    Returns:
      The weighted loss, the metrics by name, and the next memory of this term.
    """
    metrics: dict[str, jax.Array] = {}
    remembered, values = {}, []
    for teacher in self.weights:
      key, pair = self.key(teacher), pairs.get(teacher)
      value, state = self.compare(context, teacher, pair, memory.get(key))
      metrics[key] = value
      metrics |= self._diagnose(context, teacher, pair)
      values.append(value)
      if state is not None:
        remembered[key] = state
    weights = [weight(context.step) for weight in self.weights.values()]
    if self.mode == "sum":
      return losses.weighted_sum(values, weights), metrics, remembered
    together = self.kind.modes[self.mode](
      kinds.Several(
        values,
        weights,
        context.student[self.end_points[0]],
        [
          pairs[name].teacher[self.end_points_of(name)[1]]
          for name in self.weights
        ],
        [pairs[name].overlap for name in self.weights],
        [self._options(context, name) for name in self.weights],
      )
    )
    metrics[self.name] = together
    weight = losses.mean_weight(weights, self.members)
    return weight * together, metrics, remembered

  def compare(
    self,
    context: context_lib.Context,
    teacher: str,
    pair: pairing.Pair | None,
    memory: Any = None,
  ) -> tuple[jax.Array, Any]:
    """Compares the student with one teacher, or with none.

    Args:
      context: of the step.
      teacher: its name, or "".
      pair: the outputs of both.
      memory: of this teacher.

    Returns:
      The unweighted value, and the next memory (None without one).
    """
    options = self._options(context, teacher)
    if self.kind.other_clips is not None:
      return self.kind.other_clips(context, pair, teacher, **options), None
    assert pair is not None
    arrays, given = self._arrays(context, teacher, pair)
    if self.kind.memory is None:
      return self.kind.loss(*arrays, **options, **given), None
    given[self.kind.memory.argument] = memory
    return self.kind.loss(*arrays, **options, **given)

  def _diagnose(
    self,
    context: context_lib.Context,
    teacher: str,
    pair: pairing.Pair | None,
  ) -> dict[str, jax.Array]:
    found = {}
    for name, function in self.kind.measures.items():
      assert pair is not None
      arrays, given = self._arrays(context, teacher, pair)
      known = inspect.signature(function).parameters
      options = {**self._options(context, teacher), **given}
      found[f"{self.name}_{name}/{teacher}"] = function(
        *arrays, **{k: v for k, v in options.items() if k in known}
      )
    for name, changes in self.kind.diagnostics.items():
      assert pair is not None
      arrays, given = self._arrays(context, teacher, pair)
      options = {**self._options(context, teacher), **changes}
      found[f"{name}/{teacher}"] = self.kind.loss(*arrays, **options, **given)
    return found

  def _options(
    self, context: context_lib.Context, teacher: str
  ) -> dict[str, Any]:
    """What the config says, at this step."""
    known = self.kind.arguments
    options = {
      key: value(context.step) if callable(value) else value
      for key, value in self.options[teacher].items()
    }
    if "scale" in known and self.kind.calibrated:
      options.setdefault("scale", self.scale)
    return options | {k: v for k, v in self.settings.items() if k in known}

  def _arrays(
    self, context: context_lib.Context, name: str, pair: pairing.Pair
  ) -> tuple[tuple[jax.Array, jax.Array], dict[str, Any]]:
    """Both arrays, and what else the loss is given."""
    ends = self.end_points_of(name)
    given: dict[str, Any] = {}
    if self.kind.needs_labels:
      given["labels"] = context.labels
    student = pair.student[ends[0]]
    if "overlap" in self.kind.arguments:
      teacher = pair.teacher[ends[1]]
      given["overlap"] = pair.overlap
    else:
      teacher = pair.matched(pair.teacher, ends[1])
    if student.ndim == 4:  # a map of a whole sequence, as of one frame
      student, teacher = student[:, None], teacher[:, None]
    return (student, teacher), given
