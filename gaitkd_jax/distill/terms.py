"""Objectives beside GaitKD's two: rivals, to compare with or to add.

A term has a kind (`KINDS`), a weight and one teacher or all. What a kind
computes is a pure function of `gaitkd_jax.losses`; this module gives it the
arrays it takes and keeps its memory.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp

from gaitkd_jax import errors
from gaitkd_jax import losses
from gaitkd_jax.distill import teachers as teachers_lib
from gaitkd_jax.distill import views
from gaitkd_jax.training import schedules

Outputs = teachers_lib.Outputs
Pair = tuple[Outputs, Outputs]
Shapes = Mapping[str, tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class Context:
  """What the objective is computed from, in one step.

  Attributes:
    student: its outputs.
    taught: the teachers' outputs, by name.
    labels: int `[n]`.
    step: int32 scalar.
    batch: the clips; None where no term needs others.
    key: of random draws in this step.
    forward: the student's outputs, in training mode, for other clips.
    teach: the teachers' outputs for other clips.
  """

  student: Outputs
  taught: Mapping[str, Outputs]
  labels: jax.Array
  step: jax.Array
  batch: teachers_lib.Batch | None = None
  key: jax.Array | None = None
  forward: Callable[[teachers_lib.Batch], Outputs] | None = None
  teach: Callable[[teachers_lib.Batch], Mapping[str, Outputs]] | None = None


@dataclasses.dataclass(frozen=True)
class Kind:
  """A sort of term.

  Attributes:
    loss: a pure function, the student's array first and the teacher's second;
      with a memory, that is an argument and a second result.
    takes: the end point of both, "embedding" or "logits"; "maps" for one that
      the option `end_points` names; "clips" for a function of (context, pair)
      that runs the networks again.
    memory: the name of the memory's argument, if there is one.
    init: the memory of step 0, from the shapes of both and the options.
    options: that `init` takes.
    calibrated: whether its `scale`, if it has one, is that of the student's
      cross entropy unless the config gives another.
    alone: whether it needs no teacher.
    wraps: the loss that a function of clips hands its further options to.
  """

  loss: Callable[..., Any]
  takes: str
  memory: str = ""
  init: Callable[..., Any] | None = None
  options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  calibrated: bool = True
  alone: bool = False
  wraps: Callable[..., Any] | None = None


def _standardised_kd(
  student_logits, teacher_logits, temperature=2.0
) -> jax.Array:
  """Logit standardisation; its authors' weight is 9."""
  return losses.decision_loss(
    losses.logit_standardisation(student_logits),
    losses.logit_standardisation(teacher_logits),
    temperature,
    scale=1.0,
  )


def _common_parts(student: Shapes, teacher: Shapes) -> int:
  return min(student["embedding"][1], teacher["embedding"][1])


def _init_bank(student, teacher, size):
  widths = student["embedding"][2], teacher["embedding"][2]
  return losses.init_bank(size, _common_parts(student, teacher), *widths)


def _init_centres(student, teacher, classes):
  classes = classes or student.get("logits", (0,))[-1]
  if not classes:
    raise errors.UserError(
      "a term adadistill needs to know how many subjects train: give the "
      "student num_classes, or the term the option classes"
    )
  width = teacher["embedding"][2]
  return losses.init_centres(classes, _common_parts(student, teacher), width)


def _init_anchors(student, teacher, rates):
  return losses.init_anchors(_common_parts(student, teacher), rates)


def _init_threshold(student, teacher):
  del student, teacher
  return losses.init_threshold()


KINDS: Mapping[str, Kind] = {
  # Of logits.
  "kd": Kind(losses.kd_loss, "logits", calibrated=False),
  "ka_ps": Kind(losses.ka_ps_loss, "logits"),
  "ka_lsr": Kind(losses.ka_lsr_loss, "logits"),
  "logit_mse": Kind(losses.logit_mse_loss, "logits"),
  "standardised_kd": Kind(_standardised_kd, "logits"),
  "dkd": Kind(losses.dkd_loss, "logits"),
  "gdkd": Kind(losses.gdkd_loss, "logits"),
  "grouped_kd": Kind(losses.grouped_kd_loss, "logits"),
  "ofa": Kind(losses.ofa_loss, "logits"),
  "dist": Kind(losses.dist_loss, "logits"),
  # Of embeddings.
  "feature_mse": Kind(losses.feature_mse_loss, "embedding"),
  "unit_mse": Kind(losses.unit_embedding_mse_loss, "embedding"),
  "cosine": Kind(losses.embedding_cosine_loss, "embedding"),
  "rkd": Kind(losses.rkd_loss, "embedding"),
  "similarity": Kind(losses.similarity_preserving_loss, "embedding"),
  "correlation": Kind(losses.correlation_congruence_loss, "embedding"),
  "contrastive": Kind(losses.info_nce_loss, "embedding"),
  "relation": Kind(losses.relation_batch_loss, "embedding"),
  "relation_bank": Kind(
    losses.relation_bank_loss,
    "embedding",
    memory="bank",
    init=_init_bank,
    options=dict(size=4096),
  ),
  "instance": Kind(
    losses.instance_loss,
    "embedding",
    memory="threshold",
    init=_init_threshold,
  ),
  "ekd": Kind(
    losses.ekd_loss,
    "embedding",
    memory="anchors",
    init=_init_anchors,
    options=dict(rates=(10, 100, 1000)),
  ),
  "adadistill": Kind(
    losses.adadistill_loss,
    "embedding",
    memory="centres",
    init=_init_centres,
    options=dict(classes=0),
    calibrated=False,
  ),
  # Of feature maps, or of embeddings as maps of parts.
  "attention": Kind(losses.attention_transfer_loss, "maps"),
  "channel_wise": Kind(losses.channel_wise_loss, "maps"),
  # Of other clips.
  "cross_view": Kind(views.cross_view, "clips", wraps=losses.cross_view_loss),
  "patch_swap": Kind(
    views.patch_swap, "clips", alone=True, wraps=losses.patch_swap_loss
  ),
}


@dataclasses.dataclass(frozen=True)
class Term:
  """An objective with its weight.

  Attributes:
    name: its key in `config.terms`.
    kind: a key of `KINDS`.
    teachers: names; ("",) where it needs none.
    weight: a function of the step.
    options: of the loss: values, or functions of the step.
    settings: of the memory.
    end_points: of the student and of a teacher, for feature maps.
    scale: of the student's cross entropy.
  """

  name: str
  kind: str
  teachers: tuple[str, ...]
  weight: Callable[[jax.Array], jax.Array]
  options: Mapping[str, Any]
  settings: Mapping[str, Any]
  end_points: tuple[str, str]
  scale: float

  def init_memory(self, student: Shapes, teacher: Shapes) -> Any:
    """The memory of step 0 for outputs of these shapes, or None."""
    init = KINDS[self.kind].init
    return None if init is None else init(student, teacher, **self.settings)

  def __call__(
    self, context: Context, pair: Pair | None, memory: Any
  ) -> tuple[jax.Array, Any]:
    """Returns the unweighted value and the next memory (None without one)."""
    kind = KINDS[self.kind]
    options = {
      key: value(context.step) if callable(value) else value
      for key, value in self.options.items()
    }
    known = inspect.signature(kind.loss).parameters
    if "scale" in known and kind.calibrated:
      options.setdefault("scale", self.scale)
    if kind.takes == "clips":
      name = self.teachers[0]
      return kind.loss(context, pair, name, **options), None
    student, teacher = (
      out[key] for out, key in zip(pair, self.end_points, strict=True)
    )
    if student.ndim == 4:  # a map of a whole sequence, as of one frame
      student, teacher = student[:, None], teacher[:, None]
    if "labels" in known and known["labels"].default is inspect.Parameter.empty:
      options["labels"] = context.labels
    if not kind.memory:
      return kind.loss(student, teacher, **options), None
    if "rates" in self.settings:
      options["rates"] = self.settings["rates"]
    return kind.loss(student, teacher, **options, **{kind.memory: memory})


def create_terms(config: Mapping[str, Any], objective: Any) -> list[Term]:
  """Builds the terms of `config.terms`.

  Args:
    config: by name, mappings of `kind`, `weight` (a number or a schedule),
      `teacher` (a name; empty for all) and the options of the kind, which are
      the arguments of its loss; one that is a mapping is a schedule.
    objective: that they belong to.

  Returns:
    The terms.

  Raises:
    errors.UserError: an unknown kind, teacher or option, or outputs that the
      loss cannot compare.
  """
  terms = []
  for name, values in config.items():
    term = _create_term(name, dict(values.items()), objective)
    if KINDS[term.kind].takes != "clips":
      for teacher in term.teachers:
        _try(term, teacher, objective)
    terms.append(term)
  return terms


def _create_term(name: str, values: dict[str, Any], objective: Any) -> Term:
  where = f"config.terms.{name}"
  kind, teacher = values.pop("kind", ""), values.pop("teacher", "")
  weight = schedules.create_schedule(
    values.pop("weight", 1.0), f"terms.{name}.weight"
  )
  if kind not in KINDS:
    raise errors.UserError(
      f"{where}.kind is {kind!r}; give one of {', '.join(sorted(KINDS))}"
    )
  spec = KINDS[kind]
  named = (teacher,) if teacher else tuple(objective.teachers)
  if spec.alone:
    named = ("",)
  unknown = [n for n in named if n and n not in objective.teachers]
  if unknown or not named:
    raise errors.UserError(
      f"{where} of kind {kind} needs a teacher"
      + (f", and {unknown[0]} is none" if unknown else "")
      + "; config.teachers has "
      + (", ".join(objective.teachers) or "none")
    )
  if spec.takes == "clips" and len(named) > 1:
    raise errors.UserError(
      f"{where} of kind {kind} takes one teacher; name it in {where}.teacher"
    )
  for n in named if spec.takes == "clips" else ():
    same = objective.classes.get(n) is None
    if n and not (same and objective.teachers[n].scale == objective.scale):
      raise errors.UserError(
        f"{where} of kind {kind} needs a teacher with the student's classes "
        f"and scale, which {n} has not"
      )
  end_points = (spec.takes, spec.takes)
  if spec.takes == "maps":
    end_points = tuple(values.pop("end_points", ("embedding", "embedding")))
  cached = [n for n in named if n and objective.teachers[n].lookup is not None]
  if cached and end_points[1] not in ("embedding", "logits"):
    raise errors.UserError(
      f"{where} of kind {kind} needs to run teacher {cached[0]}, whose outputs "
      "are read from a cache; leave the cache out"
    )
  settings = {
    key: values.pop(key, default) for key, default in spec.options.items()
  }
  known = _options(spec)
  for key in values:
    if key not in known:
      raise errors.UserError(
        f"{where} of kind {kind} has no option {key}; it has "
        f"{', '.join([*known, *spec.options]) or 'none'}"
      )
  options = {
    key: schedules.create_schedule(value, f"terms.{name}.{key}")
    if hasattr(value, "items")
    else value
    for key, value in values.items()
  }
  return Term(
    name, kind, named, weight, options, settings, end_points, objective.scale
  )


def _options(kind: Kind) -> list[str]:
  """The arguments of a loss that a config may set."""
  functions = [kind.loss] + ([kind.wraps] if kind.wraps else [])
  found = [
    p.name
    for function in functions
    for p in inspect.signature(function).parameters.values()
    if p.default is not inspect.Parameter.empty
    and p.name not in ("labels", "rates")
  ]
  return list(dict.fromkeys(found))


def _try(term: Term, teacher: str, objective: Any) -> None:
  """Finds out, from shapes alone, what would fail in the first step."""
  where = f"config.terms.{term.name} of kind {term.kind}"
  pair = objective.pair_shapes(teacher)
  for who, shapes, key in zip(
    ("the student", f"teacher {teacher}"), pair, term.end_points, strict=True
  ):
    if key not in shapes:
      raise errors.UserError(
        f"{where}: {who} has no {key}; it has {', '.join(shapes)}"
      )
  kind = KINDS[term.kind]
  if (
    kind.takes == "logits"
    and "labels" in inspect.signature(kind.loss).parameters
    and objective.classes.get(teacher) is not None
  ):
    raise errors.UserError(
      f"{where} looks at the truth, but teacher {teacher} knows other subjects "
      "than the student; use a kind that does not, such as kd or gdkd"
    )
  # A batch of four clips of two people, so that every loss has its pairs.
  pair = [
    {
      key: jax.ShapeDtypeStruct((4, *shape[1:]), jnp.float32)
      for key, shape in shapes.items()
    }
    for shapes in pair
  ]
  memory = functools.partial(term.init_memory, *objective.pair_shapes(teacher))

  def run(pair):
    context = Context(
      student=pair[0],
      taught={teacher: pair[1]},
      labels=jnp.array([0, 0, 1, 1]),
      step=jnp.zeros([], jnp.int32),
    )
    return term(context, pair, memory())

  try:
    jax.eval_shape(run, pair)
  except (ValueError, TypeError) as e:
    text = str(e).splitlines()[0]
    raise errors.UserError(
      f"{where} cannot compare the student with teacher {teacher}: {text}"
    ) from e
