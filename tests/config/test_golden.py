"""The resolved values of every recipe, and its number of parameters.

A file of golden/ holds the variants of a config file: the first in full, each
other one as what differs from the nearest before it, "(like)"; null is a key
that it lacks.
"""

import functools
import json
import os

import jax
import pytest

from gaitkd_jax import models
from tests.helpers import configs
from tests.helpers import paths

FOLDER = paths.ROOT / "tests" / "golden"


def flatten(values, prefix=""):
  """Leaves by dotted key; an empty mapping is a leaf."""
  flat = {}
  for key, value in values.items():
    if isinstance(value, dict) and value:
      flat |= flatten(value, f"{prefix}{key}.")
    else:
      flat[f"{prefix}{key}"] = value
  return flat


@functools.cache
def parameters(model):
  """The number of parameters of a model config, given as JSON."""
  module = models.create_model(json.loads(model))
  params = models.abstract_variables(module)["params"]
  return sum(x.size for x in jax.tree.leaves(params))


def resolve(config):
  values = config.to_dict()
  text = json.dumps(flatten(values)).replace(str(paths.ROOT), ".")
  return json.loads(text) | {
    "(parameters)": parameters(json.dumps(values["model"]))
  }


def differences(values, base):
  """What turns `base` into `values`."""
  assert None not in values.values()
  # As text, which tells 1 from 1.0 and from True.
  changed = {
    k: v
    for k, v in values.items()
    if k not in base or json.dumps(base[k]) != json.dumps(v)
  }
  return changed | dict.fromkeys(base.keys() - values.keys())


def compact(variants):
  """Every variant but the first as a difference."""
  result = {}
  for name, values in variants.items():
    if not result:
      result[name] = values
      continue
    options = {other: differences(values, variants[other]) for other in result}
    like = min(options, key=lambda other: len(options[other]))
    result[name] = {"(like)": like} | options[like]
  return result


def expand(golden):
  """The reverse of `compact`."""
  variants = {}
  for name, values in golden.items():
    base = variants.get(values.get("(like)"), {})
    merged = {k: v for k, v in (base | values).items() if v is not None}
    merged.pop("(like)", None)
    variants[name] = merged
  return variants


def dump(golden):
  """JSON, a line a key."""
  blocks = []
  for name, values in golden.items():
    rows = [f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in values.items()]
    blocks.append(
      f" {json.dumps(name)}: {{\n" + ",\n".join(sorted(rows)) + "\n }"
    )
  return "{\n" + ",\n".join(blocks) + "\n}\n"


@pytest.mark.parametrize("name", configs.FILES)
def test_golden(name):
  module = configs.module(name)
  variants = {v: resolve(module.get_config(v)) for v in module.VARIANTS}
  path = FOLDER / f"{name}.json"
  if os.environ.get("UPDATE_GOLDEN"):
    path.write_text(dump(compact(variants)))
  assert dump(expand(json.loads(path.read_text()))) == dump(variants), (
    "the recipe changed; if that is meant, run UPDATE_GOLDEN=1 pytest "
    "tests/config/test_golden.py and commit the difference"
  )


def test_every_golden_file_has_a_config():
  assert sorted(path.stem for path in FOLDER.glob("*.json")) == configs.FILES
