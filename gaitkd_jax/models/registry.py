"""The table of networks, and how one is built from a config by name."""

from collections.abc import Mapping
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from gaitkd_jax import errors
from gaitkd_jax import quantize
from gaitkd_jax.models import deepgaitv2
from gaitkd_jax.models import foundationgait
from gaitkd_jax.models import gaitbase
from gaitkd_jax.models import gaitbase_plain
from gaitkd_jax.models import gaitgl
from gaitkd_jax.models import gaitpart
from gaitkd_jax.models import gaitset
from gaitkd_jax.models import network
from gaitkd_jax.models import skeletongaitpp
from gaitkd_jax.models import swingait

# By the name that configs use. A network says all else of itself.
MODELS: Mapping[str, type[network.GaitNetwork]] = {
  "deepgaitv2": deepgaitv2.DeepGaitV2,
  "foundationgait": foundationgait.FoundationGait,
  "gaitbase": gaitbase.GaitBase,
  "gaitbase_plain": gaitbase_plain.GaitBasePlain,
  "gaitgl": gaitgl.GaitGL,
  "gaitpart": gaitpart.GaitPart,
  "gaitset": gaitset.GaitSet,
  "skeletongaitpp": skeletongaitpp.SkeletonGaitPP,
  "swingait": swingait.SwinGait,
}
# Fields that are no config keys: given by the program or by Flax.
_NO_KEYS = {"dtype", "name", "parent", "quantization"}


def create_model(
  config: Mapping[str, Any],
  dtype: jax.typing.DTypeLike = jnp.float32,
  quantization: Mapping[str, Any] | None = None,
) -> network.GaitNetwork:
  """Builds the network that `config` describes.

  Args:
    config: `name` and, of the attributes of that network's class, those that
      differ from their defaults.
    dtype: of the computation, e.g. "bfloat16"; parameters stay float32.
    quantization: `config.quantization`; None or no bits is a float network.

  Returns:
    A Flax module; see `GaitNetwork.__call__` for its inputs and outputs.

  Raises:
    UserError: unknown name or key, or values of the wrong shape.
  """
  options: dict[str, Any] = {
    key: tuple(value) if isinstance(value, list | tuple) else value
    for key, value in config.items()
  }
  name = options.pop("name", None)
  if not isinstance(name, str) or name not in MODELS:
    raise errors.UserError(
      f"model.name is {name!r}; give one of {', '.join(MODELS)}"
    )
  known = config_keys(name)
  unknown = sorted(set(options) - known)
  if unknown:
    raise errors.UserError(
      f"model {name} has no key {', '.join(unknown)}; it has "
      f"{', '.join(sorted(known))}"
    )
  for key, check in MODELS[name].config_checks.items():
    if key in options and not check.fits(options[key]):
      raise errors.UserError(
        f"model.{key} of {name} is {options[key]}; give {check.wanted}"
      )
  if options.get("retrieval") == "neck" and not options.get("num_classes"):
    raise errors.UserError(
      f"model.retrieval of {name} is neck, but num_classes is 0: there is no "
      "neck"
    )
  settings = quantize.create_settings(quantization)
  try:
    return MODELS[name](
      dtype=jnp.dtype(dtype), quantization=settings, **options
    )
  except (TypeError, ValueError) as e:
    raise errors.UserError(f"model {name}: {e}") from e


def config_keys(name: str) -> set[str]:
  """The keys that a config of this network may have, besides `name`."""
  fields = {field.name for field in dataclasses.fields(MODELS[name])}
  return fields - _NO_KEYS


def known_kinds() -> dict[str, dict[str, Any]]:
  """Every network and every kind of one, as model configs by name.

  A network that has kinds is listed by its name and theirs, such as
  "deepgaitv2-p3d"; another one by its name.
  """
  configs = {}
  for name, model in MODELS.items():
    for kind, values in model.kinds.items():
      configs[f"{name}-{kind}"] = {"name": name, **values}
    if not model.kinds:
      configs[name] = {"name": name}
  return configs


def init_variables(
  module: network.GaitNetwork, key: jax.Array
) -> dict[str, Any]:
  """Draws `{"params": ..., "batch_stats": ...}` of a network."""
  shape = (1, 2, *module.frame_size, module.in_channels)
  variables = module.init(key, jnp.zeros(shape, jnp.float32))
  return {"batch_stats": {}, **variables}


def abstract_variables(module: network.GaitNetwork) -> dict[str, Any]:
  """Shapes of the variables of a network."""
  return jax.eval_shape(
    functools.partial(init_variables, module), jax.random.key(0)
  )
