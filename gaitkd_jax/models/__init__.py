"""Part-structured gait networks, built from a config by name."""

from collections.abc import Callable
from collections.abc import Mapping
import inspect
from typing import Any

from flax import linen as nn
import jax.numpy as jnp

from gaitkd_jax import errors
from gaitkd_jax.models import deepgaitv2
from gaitkd_jax.models import gaitbase
from gaitkd_jax.models import part_network

MODELS: Mapping[str, Callable[..., nn.Module]] = {
  "deepgaitv2": deepgaitv2.deepgaitv2,
  "gaitbase": gaitbase.gaitbase,
}
# Set by the program rather than by a model's config.
_RESERVED = ("dtype", "embedding_dim", "mode", "name", "parent")


def create_model(
  config: Mapping[str, Any], dtype: str | jnp.dtype = jnp.float32
) -> nn.Module:
  """Builds the network that `config` describes.

  Args:
    config: `name` and the keyword arguments of that family (see the function
      of the family's module).
    dtype: of the computation, e.g. "bfloat16"; parameters stay float32.

  Returns:
    A Flax module; see `PartNetwork.__call__` for its inputs and outputs.

  Raises:
    UserError: unknown name or key, or values of the wrong shape.
  """
  options = {
    key: tuple(value) if isinstance(value, list | tuple) else value
    for key, value in config.items()
  }
  name = options.pop("name", None)
  if name not in MODELS:
    raise errors.UserError(
      f"model.name is {name!r}; give one of {', '.join(MODELS)}"
    )
  known = _keys(MODELS[name])
  unknown = sorted(set(options) - known)
  if unknown:
    raise errors.UserError(
      f"model {name} has no key {', '.join(unknown)}; it has "
      f"{', '.join(sorted(known))}"
    )
  for key in ("channels", "blocks"):
    value = options.get(key, (1,) * 4)
    if len(value) != 4 or min(value) < (1 if key == "channels" else 0):
      raise errors.UserError(
        f"model.{key} is {value}; {name} needs four positive numbers"
      )
  try:
    return MODELS[name](dtype=jnp.dtype(dtype), **options)
  except (TypeError, ValueError) as e:
    raise errors.UserError(f"model {name}: {e}") from e


def _keys(build: Callable[..., nn.Module]) -> set[str]:
  own = {
    p.name
    for p in inspect.signature(build).parameters.values()
    if p.kind is p.KEYWORD_ONLY
  }
  shared = set(part_network.PartNetwork.__dataclass_fields__) - set(_RESERVED)
  return own | shared
