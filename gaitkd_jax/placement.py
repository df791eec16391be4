"""Where arrays lie: the classes of a large classifier are split over devices.

A classifier's kernel `[p, d, k]`, its gradient and all that an optimiser keeps
of it hold `k / N` classes on each of N devices, as in InsightFace's partial FC,
and so do logits `[n, p, k]`. All else is whole on every device. What a program
computes does not change: its arrays are the same global ones.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import functools
import math
from typing import Any

import jax
from jax.sharding import Mesh

from gaitkd_jax import array_names
from gaitkd_jax import models
from gaitkd_jax import sharding

CHOICES = ("auto", "split", "whole")
# Bytes of a classifier from which on "auto" splits it.
LARGE = 32 * 2**20
# Of so few classes none is large; to ask the network's shapes takes a second.
_FEW = 500


@dataclasses.dataclass(frozen=True)
class Placement:
  """Shardings of a network's arrays, and of those that follow them.

  Attributes:
    module: the network.
    mesh: devices of the data axis.
    split: by the name of a parameter that is split, such as "neck/kernel", its
      shape and the axis of its classes; empty if all are whole.
    note: what a user should know of it; may be empty.
  """

  module: models.GaitNetwork
  mesh: Mesh
  split: Mapping[str, tuple[tuple[int, ...], int]]
  note: str = ""

  def __call__(self, tree: Any) -> Any:
    """The sharding of every array of a tree.

    Whatever has the name and the shape of a split parameter follows it, such as
    its momentum in a state of an optimiser.

    Args:
      tree: of arrays, or of shapes: parameters, variables, a training state.
    """
    return jax.tree.map_with_path(self._of, tree)

  def with_classes(
    self, shapes: Callable[[], Mapping[str, tuple[int, ...]]]
  ) -> "Placement":
    """Splits further arrays, by their leading axis, if something is split.

    Args:
      shapes: makes the shapes by name, where they are needed.
    """
    if not self.split:
      return self
    more = {
      name: (shape, 0)
      for name, shape in shapes().items()
      if not shape[0] % self.mesh.size
    }
    return dataclasses.replace(self, split={**self.split, **more})

  def shardings(self, abstract: Callable[[], Any]) -> Any:
    """One sharding if all is whole, else that of every array.

    Args:
      abstract: makes the tree of shapes, where it is needed.
    """
    if not self.split:
      return sharding.replicated(self.mesh)
    return self(abstract())

  def of_variables(self) -> Any:
    """The shardings of the network's variables, see `shardings`."""
    return self.shardings(lambda: models.abstract_variables(self.module))

  def _of(self, path: Any, leaf: Any) -> jax.sharding.NamedSharding:
    name = f"/{array_names.name(path)}"
    for parameter, (shape, axis) in self.split.items():
      if name.endswith(f"/{parameter}") and tuple(leaf.shape) == shape:
        return sharding.by_axis(self.mesh, axis)
    return sharding.replicated(self.mesh)


def place(
  module: models.GaitNetwork,
  choice: str,
  mesh: Mesh,
  who: str = "the student",
) -> Placement:
  """Decides whether the classes of a network are split.

  Args:
    module: the network.
    choice: `config.sharding.classifier`: "auto" splits a classifier of `LARGE`
      bytes or more, "split" any, "whole" none. Only classes that the devices
      can share evenly are split, since the shapes of arrays are the format of
      checkpoints.
    mesh: devices of the data axis.
    who: has the classifier, for the note.

  Returns:
    The placement.
  """
  whole, classes = Placement(module, mesh, {}), module.num_classes
  if choice == "whole" or mesh.size == 1 or not classes:
    return whole
  if choice == "auto" and classes < _FEW:
    return whole
  axes = class_axes(module)
  size = 4 * sum(math.prod(shape) for shape, _ in axes.values())
  if choice == "auto" and size < LARGE:
    return whole
  text = f"the classifier of {who}, {classes} classes in {size / 1e6:.1f} MB"
  if classes % mesh.size:
    note = (
      f"{text}, is whole on each of {mesh.size} devices, which cannot share "
      "its classes evenly"
    )
    return dataclasses.replace(whole, note=note)
  return Placement(
    module, mesh, axes, f"{text}, is split: {classes // mesh.size} on a device"
  )


def split_logits(
  outputs: Mapping[str, Any], mesh: Mesh | None
) -> Mapping[str, Any]:
  """Splits the classes of logits over the devices, inside a program.

  The product in front of them is then computed for a device's classes and all
  clips of the batch: features, which are small, come together instead.

  Args:
    outputs: of a network; "logits" `[n, p, k]`, if there are any, stay as they
      are where the devices cannot share the classes evenly.
    mesh: devices of the data axis; None splits nothing.
  """
  logits = outputs.get("logits")
  if mesh is None or logits is None or logits.shape[-1] % mesh.size:
    return outputs
  where = sharding.by_axis(mesh, logits.ndim - 1)
  return {
    **outputs,
    "logits": jax.lax.with_sharding_constraint(logits, where),
  }


def tell(*placements: Placement) -> None:
  """Prints the notes."""
  for place_ in placements:
    if place_.note:
      print(place_.note, flush=True)


@functools.cache
def class_axes(
  module: models.GaitNetwork,
) -> dict[str, tuple[tuple[int, ...], int]]:
  """Finds the parameters that have an axis of classes.

  Args:
    module: a network that classifies.

  Returns:
    Shape and axis by name: what changes with the number of classes.
  """
  one, other = (
    array_names.shapes(models.abstract_variables(m)["params"])
    for m in (module, module.clone(num_classes=module.num_classes + 1))
  )
  return {
    name: (shape, axis)
    for name, shape in one.items()
    for axis, size in enumerate(shape)
    if size != other[name][axis]
  }
