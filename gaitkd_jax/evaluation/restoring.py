"""Networks of checkpoints, for a test: it needs no classifier."""

from collections.abc import Mapping
from typing import Any

import jax

from gaitkd_jax import array_names
from gaitkd_jax import checkpoint
from gaitkd_jax import models

_KEY = "num_classes"


def restore_network(
  path: Any,
  config: Mapping[str, Any],
  dtype: str,
  sharding: checkpoint.Where,
  quantization: Mapping[str, Any] | None = None,
) -> tuple[models.GaitNetwork, dict[str, Any]]:
  """Builds a network and reads its checkpoint, with any number of classes.

  A search compares embeddings, so a classifier of other people than those of
  the config is taken as it is; a line says so. All else has to fit.

  Args:
    path: see `checkpoint.restore_model`.
    config: of the model.
    dtype: of the computation.
    sharding: of every array, or a function from a tree to theirs.
    quantization: `config.quantization`; None is a float network.

  Returns:
    The network, with the checkpoint's number of classes, and its variables.

  Raises:
    errors.UserError: there is no checkpoint, or it is of another network.
  """
  module = models.create_model(config, dtype, quantization)
  form = module.quantization.form if module.quantization else None
  checkpoint.check_quantization(path, form)
  wanted = models.abstract_variables(module)
  found = checkpoint.stored_shapes(path)
  if found != array_names.shapes(wanted) and _KEY in config:
    classes = _num_classes(config, found, quantization)
    other = models.create_model({**config, _KEY: classes}, dtype, quantization)
    shapes = models.abstract_variables(other)
    if found == array_names.shapes(shapes):
      if not jax.process_index():
        print(
          f"{path} has {classes} classes and config.model.{_KEY} is "
          f"{config[_KEY]}; a test needs none of them, so its own are read",
          flush=True,
        )
      module, wanted = other, shapes
  return module, checkpoint.restore_model(path, wanted, sharding, form)


def _num_classes(
  config: Mapping[str, Any],
  found: Mapping[str, tuple[int, ...]],
  quantization: Mapping[str, Any] | None,
) -> int:
  """How many classes a stored network has.

  Args:
    config: of a network that has a classifier.
    found: shapes by the names of arrays.
    quantization: see `restore_network`.
  """
  one, two = (
    array_names.shapes(
      models.abstract_variables(
        models.create_model({**config, _KEY: k}, quantization=quantization)
      )
    )
    for k in (1, 2)
  )
  for name, shape in one.items():
    stored = found.get(name, ())
    for axis, size in enumerate(shape):
      if size != two[name][axis] and len(stored) == len(shape):
        return stored[axis]
  return 0
