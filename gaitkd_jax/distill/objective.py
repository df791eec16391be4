"""GaitKD's objective (arXiv 2604.26255) for any number of teachers."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gaitkd_jax import losses
from gaitkd_jax.distill import class_mapping
from gaitkd_jax.distill import teachers as teachers_lib
from gaitkd_jax.distill import terms as terms_lib
from gaitkd_jax.models import heads

Outputs = teachers_lib.Outputs
Context = terms_lib.Context


@dataclasses.dataclass(frozen=True)
class Objective:
  """What teachers and further terms ask of a student.

  Attributes:
    teachers: by name.
    terms: further objectives.
    decision: how the teachers' decisions are put together: "sum" or "mean".
    boundary: and their boundaries: "sum", "vote" or "agree".
    scale: of the student's cross entropy, which calibrates the logits.
    overlaps: by teacher, how its parts cover the student's `[p, q]`; None
      compares the first of both.
    classes: by teacher, positions of the common classes; None if all are,
      empty if none is: there is no decision then.
    connectors: by teacher, the layer that brings the student to its width.
    shapes: of the student's and, by name, of the teachers' outputs, for one
      clip; the student's is "".
  """

  teachers: Mapping[str, teachers_lib.Teacher]
  terms: Sequence[terms_lib.Term] = ()
  decision: str = "sum"
  boundary: str = "sum"
  scale: float = 16.0
  overlaps: Mapping[str, np.ndarray | None] = dataclasses.field(
    default_factory=dict
  )
  classes: Mapping[str, class_mapping.Classes | None] = dataclasses.field(
    default_factory=dict
  )
  connectors: Mapping[str, nn.Module] = dataclasses.field(default_factory=dict)
  shapes: Mapping[str, Mapping[str, tuple[int, ...]]] = dataclasses.field(
    default_factory=dict
  )

  def init_aids(self, key: jax.Array) -> dict[str, Any]:
    """What training needs beside the student, at step 0.

    Returns:
      "params" (connectors, which learn), "batch_stats" (theirs) and "memory"
      (of terms, by "<term>/<teacher>"); all empty for GaitKD itself.
    """
    aids = {"params": {}, "batch_stats": {}, "memory": {}}
    for i, (name, connector) in enumerate(sorted(self.connectors.items())):
      x = jnp.zeros(self.shapes[""]["embedding"], jnp.float32)
      variables = connector.init(jax.random.fold_in(key, i), x, train=False)
      connectors = aids["params"].setdefault("connectors", {})
      connectors[name] = variables["params"]
      aids["batch_stats"][name] = variables["batch_stats"]
    for term in self.terms:
      for name in term.teachers:
        pair = self.pair_shapes(name)
        memory = term.init_memory(*pair) if pair else None
        if memory is not None:
          aids["memory"][f"{term.name}/{name}"] = memory
    return aids

  def __call__(
    self, context: Context, aids: Mapping[str, Any]
  ) -> tuple[jax.Array, dict[str, jax.Array], dict[str, Any]]:
    """Adds up everything that is asked of the student's outputs.

    Without logits on either side a teacher has no decision term.

    Args:
      context: outputs, labels and step.
      aids: see `init_aids`.

    Returns:
      The loss, the unweighted terms by name, and the next aids ("params" as
      they were). "teacher_accuracy/<name>" and "teacher_kl/<name>" (divergence
      at temperature 1) show a wrong checkpoint at the first step.
    """
    stats, memory = dict(aids["batch_stats"]), dict(aids["memory"])
    ours = {}
    for name in self.teachers:
      ours[name] = dict(context.student)
      if name in self.connectors:
        ours[name]["embedding"], stats[name] = self._connect(
          name, context.student["embedding"], aids
        )
    loss, metrics = self._gaitkd(context, ours)
    for term in self.terms:
      for name in term.teachers:
        key = f"{term.name}/{name}" if name else term.name
        pair = self._pair(name, ours, context) if name else None
        value, new = term(context, pair, memory.get(key))
        if new is not None:
          memory[key] = new
        loss += term.weight(context.step) * value
        metrics[key] = value
    new_aids = {
      "params": aids["params"],
      "batch_stats": stats,
      "memory": jax.lax.stop_gradient(memory),
    }
    return loss, metrics, new_aids

  def _connect(self, name, embedding, aids):
    variables = {
      "params": aids["params"]["connectors"][name],
      "batch_stats": aids["batch_stats"][name],
    }
    connected, updated = self.connectors[name].apply(
      variables, embedding, train=True, mutable=["batch_stats"]
    )
    return connected, updated["batch_stats"]

  def _decides(self, name: str, ours: Any, theirs: Any) -> bool:
    """Whether there are logits of both that can be compared."""
    common = self.classes.get(name)
    some = common is None or len(common[0]) > 0
    return some and "logits" in ours and "logits" in theirs

  def _logits(self, name: str, ours: Outputs, theirs: Outputs):
    """Logits of the common classes, the teacher's at the student's scale."""
    student, teacher = ours["logits"], theirs["logits"]
    ratio = self.teachers[name].scale / self.scale
    if ratio != 1.0:
      teacher = ratio * teacher
    if self.classes.get(name) is not None:
      mine, yours = self.classes[name]
      student, teacher = student[..., mine], teacher[..., yours]
    return student, teacher

  def _gaitkd(self, context: Context, ours: Mapping[str, Outputs]):
    """Decision and boundary level of all teachers."""
    loss, metrics = jnp.zeros([], jnp.float32), {}
    step, decided = context.step, []
    for name, teacher in self.teachers.items():
      theirs = context.taught[name]
      overlap = self.overlaps.get(name)
      if self._decides(name, ours[name], theirs):
        pair = self._logits(name, ours[name], theirs)
        metrics[f"decision/{name}"] = _decision(
          *pair, teacher.temperature(step), self.scale, overlap
        )
        metrics[f"teacher_kl/{name}"] = _decision(
          *pair, 1.0, self.scale, overlap
        )
        decided.append(name)
      if "logits" in theirs and self.classes.get(name) is None:
        metrics[f"teacher_accuracy/{name}"] = losses.part_accuracy(
          theirs["logits"], context.labels
        )
      metrics[f"boundary/{name}"] = _boundary(
        ours[name]["embedding"], theirs["embedding"], overlap
      )
    weights = [self.teachers[n].decision_weight(step) for n in decided]
    terms = [metrics[f"decision/{n}"] for n in decided]
    if self.decision == "mean" and decided:
      # Of the same gradient as the divergence from the mean of distributions.
      total = sum(weights)
      share = jnp.where(total > 0, total, 1.0)
      metrics["decision"] = sum(map(jnp.multiply, weights, terms)) / share
      loss += total / len(decided) * metrics["decision"]
    else:
      loss += sum(map(jnp.multiply, weights, terms))
    weights = [t.boundary_weight(step) for t in self.teachers.values()]
    if self.boundary == "sum" or not self.teachers:
      terms = [metrics[f"boundary/{n}"] for n in self.teachers]
      loss += sum(map(jnp.multiply, weights, terms))
    else:
      metrics["boundary"] = losses.boundary_ensemble_loss(
        context.student["embedding"],
        [context.taught[n]["embedding"] for n in self.teachers],
        weights,
        self.boundary,
      )
      loss += sum(weights) / len(weights) * metrics["boundary"]
    return loss, metrics

  def _pair(self, name: str, ours: Mapping[str, Outputs], context: Context):
    """A student and a teacher whose arrays can be compared part by part."""
    student, teacher = dict(ours[name]), dict(context.taught[name])
    if self._decides(name, student, teacher):
      student["logits"], teacher["logits"] = self._logits(
        name, student, teacher
      )
    else:
      teacher.pop("logits", None)
    overlap = self.overlaps.get(name)
    for key in ("embedding", "logits"):
      if overlap is not None and key in teacher:
        teacher[key] = jnp.einsum(
          "pq,nqd->npd",
          overlap,
          teacher[key].astype(jnp.float32),
          precision=jax.lax.Precision.HIGHEST,
        )
    return student, teacher

  def pair_shapes(self, name: str):
    """Shapes of `_pair`, for one clip; None without a teacher."""
    if not name:
      return None
    student, teacher = dict(self.shapes[""]), dict(self.shapes[name])
    common = self.classes.get(name)
    if not self._decides(name, student, teacher):
      teacher.pop("logits", None)
    elif common is not None:
      for shapes in (student, teacher):
        shapes["logits"] = (*shapes["logits"][:2], len(common[0]))
    if name in self.connectors:
      width = self.connectors[name].features
      student["embedding"] = (*student["embedding"][:2], width)
    if self.overlaps.get(name) is not None:
      parts = student["embedding"][1]
      teacher["embedding"] = (1, parts, teacher["embedding"][2])
    return student, teacher


def create_objective(
  student: nn.Module,
  teachers: Mapping[str, teachers_lib.Teacher],
  distillation: Mapping[str, Any] | None = None,
  terms: Mapping[str, Any] | None = None,
  scale: float = 16.0,
  classes: Mapping[str, class_mapping.Classes | None] | None = None,
) -> Objective:
  """Builds the objective of a student and its teachers.

  Args:
    student: the network.
    teachers: by name.
    distillation: `config.distillation`; None is the default.
    terms: `config.terms`.
    scale: of the student's cross entropy.
    classes: by teacher, see `common_classes`; None has all in common.

  Returns:
    The objective.

  Raises:
    errors.UserError: a term that is unknown or does not fit.
  """
  distillation = distillation or {}
  modules = {"": student} | {n: t.module for n, t in teachers.items()}
  shapes = {n: teachers_lib.output_shapes(m) for n, m in modules.items()}
  overlaps, connectors = {}, {}
  for name, teacher in teachers.items():
    bins = student.bins, teacher.module.bins
    if distillation.get("parts") == "overlap" and bins[0] != bins[1]:
      overlaps[name] = losses.overlap_matrix(
        *map(losses.pyramid_boundaries, bins)
      )
    if teacher.connector:
      connectors[name] = heads.Connector(shapes[name]["embedding"][-1])
  classes = dict(classes or {})
  objective = Objective(
    teachers=teachers,
    decision=distillation.get("decision", "sum"),
    boundary=distillation.get("boundary", "sum"),
    scale=float(scale),
    overlaps=overlaps,
    classes=classes,
    connectors=connectors,
    shapes=shapes,
  )
  return dataclasses.replace(
    objective,
    terms=terms_lib.create_terms(terms or {}, objective),
  )


def _decision(student, teacher, temperature, scale, overlap) -> jax.Array:
  if overlap is None:
    return losses.decision_loss(student, teacher, temperature, scale)
  return losses.decision_ensemble_loss(
    student, [teacher], None, [temperature], scale, overlaps=[overlap]
  )


def _boundary(student, teacher, overlap) -> jax.Array:
  if overlap is None:
    return losses.boundary_loss(student, teacher)
  return losses.boundary_ensemble_loss(student, [teacher], overlaps=[overlap])
