r"""Compiles every recipe for accelerators that are not here; writes a table.

python scripts/describe_recipes.py --list
python scripts/describe_recipes.py --workdir=runs/recipes \
  --tpu_python=<Python with jax[tpu]> --gpu_python=<Python with jax[cuda13]>
python scripts/describe_recipes.py --workdir=runs/recipes --report

Recipes are the variants of all files in configs/ but those of the embedded
data. Of recipes with equal networks, teachers, clips, batch and dtype one is
compiled: rivals of a method count as that method. Every compilation is a
process of its own, scripts/describe_model.py, short ones first; its result is
a file in the workdir, and what is there is not done again. A recipe that cannot
be compiled is named, and the others go on. A pair takes minutes for a TPU, tens
of seconds for a GPU. The tables (one a target, Markdown) are printed;
docs/performance.md says what their columns mean.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import json
import os
import pathlib
import subprocess
import sys
import time
from typing import Any

from absl import flags
import jax
from ml_collections import ConfigDict

from gaitkd_jax import cli
from gaitkd_jax import config as config_lib
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import storage
from gaitkd_jax import workdir as workdir_lib
from gaitkd_jax.cost import devices
from gaitkd_jax.training import programs

_WORKDIR = flags.DEFINE_string("workdir", "runs/recipes", "results")
_TARGETS = flags.DEFINE_list(
  "targets", ["h100", "v5e:2x4", "v6e:2x4"], "of all"
)
_RECIPES = flags.DEFINE_list("recipes", [], "e.g. gait3d,swingait_grew; or all")
_SMOKE = flags.DEFINE_bool("smoke", False, "their trials, to try this program")
_TPU_PYTHON = flags.DEFINE_string("tpu_python", sys.executable, "compiles TPUs")
_GPU_PYTHON = flags.DEFINE_string("gpu_python", sys.executable, "compiles GPUs")
_LIST = flags.DEFINE_bool("list", False, "only print what would be compiled")
_REPORT = flags.DEFINE_bool("report", False, "only print the tables")
_ROOT = pathlib.Path(__file__).resolve().parent.parent
_COLUMNS = (
  *("recipe", "clips x frames", "dtype"),
  *("GiB", "arguments", "temporaries", "TFLOP", "GB"),
  *("arithmetic ms", "memory ms", "bound by", "clips/s"),
  *("embedding GiB", "embedding clips/s"),
)


def recipes() -> dict[str, list[str]]:
  """What is to be compiled.

  Returns:
    The value of `--config`, below configs/, by which a program is compiled, and
    all that have the same one.
  """
  groups: dict[str, list[str]] = {}
  # A rival of distill.py never stands for a recipe that has a file.
  paths = sorted(
    (_ROOT / "configs").glob("*.py"), key=lambda p: (p.stem == "distill", p)
  )
  for path in paths:
    module = config_lib.load_module(path)
    for variant in module.VARIANTS:
      c = module.get_config(variant)
      if c.data.name != "walkers":
        name = ":".join(filter(None, (path.name, variant)))
        groups.setdefault(program_key(c), []).append(name)
  return {names[0]: names for names in groups.values()}


def program_key(c: ConfigDict) -> str:
  """Equal for configs whose steps are compiled but once."""
  parts = (
    c.model.to_dict(),
    [t.model.to_dict() for t in c.teachers.values()],
    c.batch.identities * c.batch.sequences,
    programs.clip_frames(c.clip),
    "frames" in config_lib.CLIP_KEYS[c.clip.kind],
    c.dtype,
    bool(c.quantization.weights or c.quantization.activations),
  )
  return json.dumps(parts, sort_keys=True)


def size(recipe: str) -> int:
  """Grows with the time of compiling: arrays of parameters.

  A backward pass is taken to be two forward passes.
  """
  file, _, variant = recipe.partition(":")
  c = config_lib.load(_ROOT / "configs" / file, variant)
  student, *teachers = (
    len(jax.tree.leaves(models.abstract_variables(models.create_model(m))))
    for m in (c.model, *(t.model for t in c.teachers.values()))
  )
  return 3 * student + sum(teachers)


def chosen() -> dict[str, list[str]]:
  """The recipes that `--recipes` names, or all; short compilations first."""
  found = recipes()
  names = {cli.run_name(name): name for name in found}
  for name in _RECIPES.value:
    if name not in names:
      raise errors.UserError(
        f"--recipes has {name!r}, which is none or is compiled under another "
        "name; --list prints all"
      )
  wanted = [names[name] for name in _RECIPES.value or names]
  return {name: found[name] for name in sorted(wanted, key=size)}


def result_file(recipe: str, target: str) -> storage.Path:
  """Where the result of a pair lies."""
  name = cli.run_name(recipe) + ("_smoke" if _SMOKE.value else "")
  return storage.path(_WORKDIR.value) / (
    f"{name}.{target.replace(':', '_')}.json"
  )


def compile_pair(
  recipe: str, same: Sequence[str], target: devices.Target
) -> str:
  """Compiles a recipe for a target and keeps the result.

  Returns:
    Why that was not possible; empty if it was.

  Raises:
    errors.UserError: the wheel is missing.
  """
  cuda = target.device.platform == "cuda"
  config = recipe
  if _SMOKE.value:
    config += "_smoke" if ":" in recipe else ":smoke"
  done = subprocess.run(
    [
      _GPU_PYTHON.value if cuda else _TPU_PYTHON.value,
      str(_ROOT / "scripts" / "describe_model.py"),
      f"--config={_ROOT / 'configs' / config}",
      f"--target={target.name}",
      "--json",
    ],
    capture_output=True,
    text=True,
    env=os.environ | {"PYTHONPATH": str(_ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
  )
  last = (done.stderr.strip().splitlines() or ["no message"])[-1]
  if done.returncode == 2 and "not installed" in last:
    flag = "--gpu_python" if cuda else "--tpu_python"
    raise errors.UserError(f"{last.removeprefix('error: ')}, and give {flag}")
  if done.returncode:
    return last
  found = {
    "recipe": recipe,
    "same": list(same),
    "target": target.name,
    "programs": [json.loads(line) for line in done.stdout.splitlines()],
  }
  text = json.dumps(found, indent=2) + "\n"
  workdir_lib.write_text(text, result_file(recipe, target.name))
  return ""


def table(
  target: devices.Target, results: Sequence[Mapping[str, Any]]
) -> list[str]:
  """Lines of the table of a target."""
  device = target.device
  lines = [
    f"{target.name}: {target.count} x {device.name}, of which each has "
    f"{device.usable / 2**30:.2f} GiB and {1e-9 * device.bandwidth:,.0f} GB/s; "
    + ", ".join(
      f"{dtype} {1e-12 * rate:.0f} TFLOP/s"
      for dtype, rate in device.flops.items()
    ),
    "",
    f"| {' | '.join(_COLUMNS)} |",
    "|" + "---|" * 3 + "---:|" * 7 + "---|" + "---:|" * 3,
  ]
  return lines + [f"| {' | '.join(row(result))} |" for result in results]


def row(result: Mapping[str, Any]) -> list[str]:
  """The cells of a recipe."""
  by_name = {found["program"]: found for found in result["programs"]}
  train, embed = by_name["train"], by_name["embed"]

  def cell(found: Mapping[str, Any], key: str, factor: float, form: str) -> str:
    return format(factor * found[key], form) if key in found else "-"

  def memory(found: Mapping[str, Any]) -> str:
    text = f"{found['needed_gib'] or float('nan'):.2f}"
    return text if found["fits"] else f"**{text}**"

  return [
    f"`configs/{result['recipe']}`",
    f"{train['clips']} x {train['frames']}",
    train["dtype"],
    memory(train),
    cell(train, "arguments_gib", 1, ".2f"),
    cell(train, "temporaries_gib", 1, ".2f"),
    cell(train, "flops", 1e-12, ".2f"),
    cell(train, "bytes", 1e-9, ".1f"),
    cell(train, "arithmetic_s", 1e3, ".1f"),
    cell(train, "memory_s", 1e3, ".1f"),
    train.get("binds", "-"),
    cell(train, "clips_per_s", 1, ",.0f"),
    memory(embed),
    cell(embed, "clips_per_s", 1, ",.0f"),
  ]


def report(names: Sequence[str]) -> None:
  """Prints the tables of what is there."""
  for name in _TARGETS.value:
    target = devices.find_target(name)
    files = [result_file(recipe, target.name) for recipe in names]
    results = [
      json.loads(storage.read_text(f)) for f in files if storage.exists(f)
    ]
    results.sort(key=lambda result: result["recipe"])
    print("\n".join(["", *table(target, results)]), flush=True)


def main(argv: list[str]) -> None:
  """Compiles what is not there yet, and prints the tables."""
  del argv
  jax.config.update("jax_platforms", "cpu")  # nothing is computed here
  targets = [devices.find_target(name) for name in _TARGETS.value]
  names = chosen()
  if _LIST.value:
    for name, same in names.items():
      others = f", also {len(same) - 1} more" if same[1:] else ""
      print(f"configs/{name}{others}")
    return
  if _REPORT.value:
    report(list(names))
    return
  workdir_lib.make_workdir(_WORKDIR.value)
  failed = 0
  # The compilers of GPUs are the fastest.
  targets.sort(key=lambda target: target.device.platform != "cuda")
  pairs = [(target, name) for target in targets for name in names]
  for i, (target, name) in enumerate(pairs, 1):
    if storage.exists(result_file(name, target.name)):
      continue
    began = time.monotonic()
    error = compile_pair(name, names[name], target)
    failed += bool(error)
    print(
      f"{i}/{len(pairs)} configs/{name} {target.name}: "
      f"{error or 'compiled'}, {time.monotonic() - began:.0f} s",
      file=sys.stderr,
      flush=True,
    )
  report(list(names))
  if failed:
    raise errors.UserError(f"{failed} of {len(pairs)} were not compiled: above")


if __name__ == "__main__":
  cli.run(main)
