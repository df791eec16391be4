"""How the outputs of a student and a teacher are made comparable."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gaitkd_jax import losses
from gaitkd_jax.distill import class_mapping
from gaitkd_jax.distill import teachers as teachers_lib

Outputs = teachers_lib.Outputs
# What has parts, and is therefore matched by overlap.
_OF_PARTS = ("embedding", "logits")


@dataclasses.dataclass(frozen=True)
class Pair:
  """Outputs of a student and a teacher that can be compared.

  Attributes:
    student: the student's; its embedding as a connector brings it to the
      teacher's width, its logits those of the common classes.
    teacher: the teacher's; logits are those of the common classes at the
      student's scale, and missing if there is nothing to compare them with.
    overlap: `[p, q]`, how the teacher's parts cover the student's; None
      compares the first parts of both.
  """

  student: Outputs
  teacher: Outputs
  overlap: np.ndarray | None = None

  @property
  def common_parts(self) -> int:
    """How many parts are compared."""
    student, teacher = self.student["embedding"], self.teacher["embedding"]
    if self.overlap is not None:
      return int(student.shape[1])
    return int(min(student.shape[1], teacher.shape[1]))

  def matched(self, outputs: Outputs, end_point: str) -> jax.Array:
    """A teacher's array, mixed for the student's parts if they overlap.

    Args:
      outputs: the teacher's, on these or on other clips.
      end_point: "embedding" or "logits", which have parts, or another.
    """
    if self.overlap is None or end_point not in _OF_PARTS:
      return outputs[end_point]
    return losses.mix_parts(outputs[end_point], self.overlap)


@dataclasses.dataclass(frozen=True)
class Pairing:
  """Makes pairs of a student's and a teacher's outputs.

  Attributes:
    student: shapes of the student's outputs for one clip.
    teacher: shapes of the teacher's outputs for one clip.
    overlap: `[p, q]`, how the teacher's parts cover the student's; None
      compares the first parts of both.
    classes: positions of the common classes; None if all are, empty if none is:
      then no logits are compared.
    factor: the scale of the teacher's cross entropy, divided by the student's.
    connector: the layer that brings the student's embedding to the teacher's
      width, if there is one.
  """

  student: Mapping[str, tuple[int, ...]]
  teacher: Mapping[str, tuple[int, ...]]
  overlap: np.ndarray | None = None
  classes: class_mapping.Classes | None = None
  factor: float = 1.0
  connector: nn.Module | None = None

  @property
  def same_logits(self) -> bool:
    """Whether both have the same classes in the same order, at one scale."""
    return self.classes is None and self.factor == 1.0

  def init_connector(self, key: jax.Array) -> Mapping[str, Any]:
    """Variables of the connector."""
    assert self.connector is not None
    x = jnp.zeros(self.student["embedding"], jnp.float32)
    return self.connector.init(key, x, train=False)

  def connect(
    self, student: Outputs, variables: Mapping[str, Any]
  ) -> tuple[Outputs, Any]:
    """Passes the student's embedding through the connector.

    Args:
      student: its outputs.
      variables: of the connector.

    Returns:
      The outputs with the new embedding, and the new running statistics.
    """
    assert self.connector is not None
    embedding, updated = self.connector.apply(
      variables, student["embedding"], train=True, mutable=["batch_stats"]
    )
    return {**student, "embedding": embedding}, updated["batch_stats"]

  def __call__(self, student: Outputs, teacher: Outputs) -> Pair:
    """Pairs outputs; those of the student have passed the connector."""
    student, teacher = dict(student), dict(teacher)
    none_common = self.classes is not None and not len(self.classes[0])
    if none_common or "logits" not in student or "logits" not in teacher:
      teacher.pop("logits", None)
    else:
      student["logits"], teacher["logits"] = losses.common_logits(
        student["logits"], teacher["logits"], self.classes, self.factor
      )
    return Pair(student, teacher, self.overlap)

  def abstract(self, clips: int = 1) -> Pair:
    """The pair of a number of clips, with shapes in the place of arrays."""

    def outputs(student: Outputs, teacher: Outputs) -> tuple[Outputs, Outputs]:
      if self.connector is not None:
        variables = self.init_connector(jax.random.key(0))
        student, _ = self.connect(student, variables)
      pair = self(student, teacher)
      return pair.student, pair.teacher

    arrays = (
      {
        key: jax.ShapeDtypeStruct((clips, *shape[1:]), jnp.float32)
        for key, shape in shapes.items()
      }
      for shapes in (self.student, self.teacher)
    )
    student, teacher = jax.eval_shape(outputs, *arrays)
    return Pair(student, teacher, self.overlap)
