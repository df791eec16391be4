"""Every family of networks, and how one is built from a config by name."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import functools
import inspect
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from gaitkd_jax import errors
from gaitkd_jax.models import deepgaitv2
from gaitkd_jax.models import gaitbase
from gaitkd_jax.models import gaitgl
from gaitkd_jax.models import gaitpart
from gaitkd_jax.models import gaitset
from gaitkd_jax.models import part_network
from gaitkd_jax.models import skeletongaitpp
from gaitkd_jax.models import swingait

MODELS: Mapping[str, Callable[..., nn.Module]] = {
  "deepgaitv2": deepgaitv2.deepgaitv2,
  "gaitbase": gaitbase.gaitbase,
  "gaitgl": gaitgl.GaitGL,
  "gaitpart": gaitpart.GaitPart,
  "gaitset": gaitset.GaitSet,
  "skeletongaitpp": skeletongaitpp.SkeletonGaitPP,
  "swingait": swingait.SwinGait,
}
# Set by the program, or by the function of a family.
_PROGRAM = {"dtype", "name", "parent"}
_RESERVED = _PROGRAM | {"embedding_dim", "mode"}


def _numbers(least: Sequence[int]) -> Callable[[Any], bool]:
  """Whether a value is as many integers, of at least so much each."""
  return lambda value: (
    isinstance(value, tuple)
    and len(value) == len(least)
    and all(isinstance(v, int) for v in value)
    and all(v >= low for v, low in zip(value, least, strict=True))
  )


_Check = tuple[Callable[[Any], bool], str]
_CHECKS: Mapping[str, _Check] = {
  "base_channels": (lambda v: v >= 1, "at least 1"),
  "channels": (_numbers((1, 1, 1, 1)), "four positive numbers"),
  # A stage that halves the image cannot be left out.
  "blocks": (
    _numbers((0, 1, 1, 0)),
    "four numbers, positive in the second and third place",
  ),
  "dim": (lambda v: v >= 16 and v % 16 == 0, "a multiple of 16"),
  "drop_path_rate": (lambda v: 0 <= v < 1, "at least 0 and less than 1"),
  "embedding_dim": (lambda v: v >= 1, "at least 1"),
  "in_channels": (lambda v: v >= 1, "at least 1"),
  "neck": (lambda v: isinstance(v, bool), "True or False"),
  "num_classes": (lambda v: v >= 0, "0 (no classifier) or more"),
  "parts": (lambda v: v in (1, 2, 4, 8, 16), "1, 2, 4, 8 or 16"),
  "remat": (lambda v: isinstance(v, bool), "True or False"),
  "retrieval": (lambda v: v in ("embedding", "neck"), "embedding or neck"),
  "variant": (lambda v: v in ("casiab", "large"), "casiab or large"),
}
_THREE = (_numbers((1, 1, 1)), "three positive numbers")
_THREE_OR_FOUR = (
  lambda v: _THREE[0](v) or _numbers((1, 1, 1, 1))(v),
  "three positive numbers, or four with variant large",
)
# What a family asks for in place of the above.
_FAMILY_CHECKS: Mapping[str, Mapping[str, _Check]] = {
  "gaitgl": {"channels": _THREE_OR_FOUR},
  "gaitpart": {"channels": _THREE_OR_FOUR},
  "gaitset": {"channels": _THREE},
  "skeletongaitpp": {
    "in_channels": (lambda v: v == 3, "3 (limbs, joints, silhouette)"),
  },
  "swingait": {
    "channels": (_numbers((1, 1)), "two positive numbers"),
    "blocks": (
      _numbers((0, 1, 1, 1)),
      "four numbers, positive but for the first",
    ),
  },
}


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
  checks = {**_CHECKS, **_FAMILY_CHECKS.get(name, {})}
  for key, (fits, wanted) in checks.items():
    if key in options and not fits(options[key]):
      raise errors.UserError(
        f"model.{key} of {name} is {options[key]}; give {wanted}"
      )
  if options.get("retrieval") == "neck" and not options.get("num_classes"):
    raise errors.UserError(
      f"model.retrieval of {name} is neck, but num_classes is 0: there is no "
      "neck"
    )
  try:
    return MODELS[name](dtype=jnp.dtype(dtype), **options)
  except (TypeError, ValueError) as e:
    raise errors.UserError(f"model {name}: {e}") from e


def init_variables(module: nn.Module, key: jax.Array) -> dict[str, Any]:
  """Draws `{"params": ..., "batch_stats": ...}` of a network."""
  shape = (1, 2, 64, 44, module.in_channels)
  variables = module.init(key, jnp.zeros(shape, jnp.float32))
  return {"batch_stats": {}, **variables}


def abstract_variables(module: nn.Module) -> dict[str, Any]:
  """Shapes of the variables of a network."""
  return jax.eval_shape(
    functools.partial(init_variables, module), jax.random.key(0)
  )


def _keys(build: Callable[..., nn.Module]) -> set[str]:
  """The config keys of a family: a module, or a function of keywords."""
  if isinstance(build, type):
    return set(build.__dataclass_fields__) - _PROGRAM
  own = {
    p.name
    for p in inspect.signature(build).parameters.values()
    if p.kind is p.KEYWORD_ONLY
  }
  shared = set(part_network.PartNetwork.__dataclass_fields__) - _RESERVED
  return own | shared
