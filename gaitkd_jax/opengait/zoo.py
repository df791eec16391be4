"""Converts a local copy of OpenGait's zoo, all files at once.

A file is `<data set>/<network>/<save_name>/checkpoints/<save_name>-<step>.pt`,
and becomes a step of the workdir `<data set>/<network>/<save_name>`. What it
holds says which network it is; its names and the recipe of its data set say
what weights do not tell, and are compared with the rest.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import pathlib
import re
import shlex
from typing import Any
from typing import NamedTuple

import jax

from gaitkd_jax import checkpoint
from gaitkd_jax import errors
from gaitkd_jax import failures
from gaitkd_jax import models
from gaitkd_jax import storage
from gaitkd_jax.opengait import convert
from gaitkd_jax.opengait import inference
from gaitkd_jax.opengait import torch_file
from gaitkd_jax.opengait import torch_values

# Of what is written while it is incomplete.
_UNFINISHED = ".unfinished"
_LAYOUT = "<data set>/<network>/<save_name>/checkpoints/<save_name>-<step>.pt"
# Keys of a model config that no weights depend on.
_FREE = {"drop_path_rate", "remat", "retrieval"}


class Recipe(NamedTuple):
  """A config that trains a network on a data set.

  Attributes:
    flag: the value of `--config`.
    dataset: its name, such as "casiab".
    model: the config of its network.
  """

  flag: str
  dataset: str
  model: Mapping[str, Any]


class Entry(NamedTuple):
  """A file of the zoo, and what the folders above it are called."""

  path: pathlib.Path
  name: str
  dataset: str
  network: str
  save_name: str


@dataclasses.dataclass
class Row:
  """What became of a file.

  Attributes:
    name: of the file, below the zoo.
    outcome: "converted", "there already", "not supported", "left out" or
      "failed".
    network: the name of its network here, with its kind.
    step: how long it was trained.
    arrays: how many it has.
    parameters: how many numbers of these are learned.
    reason: why it was not converted.
    told: what names and recipes say otherwise than its contents.
    use: the flags that evaluate it.
  """

  name: str
  outcome: str = "failed"
  network: str = ""
  step: int | None = None
  arrays: int | None = None
  parameters: int | None = None
  reason: str = ""
  told: list[str] = dataclasses.field(default_factory=list)
  use: str = ""


def find(folder: pathlib.Path) -> tuple[list[Entry], list[Row]]:
  """Lists the files of a zoo.

  Returns:
    The checkpoints, and a row for every other .pt.

  Raises:
    errors.UserError: there is no such folder, or no .pt in it.
  """
  if not folder.is_dir():
    raise errors.UserError(
      f"--zoo {folder} is no folder; give a local copy of OpenGait's zoo"
    )
  entries, others = [], []
  for path in sorted(folder.rglob("*.pt")):
    parts = path.relative_to(folder).parts
    if any(part.startswith(".") for part in parts):
      continue  # what git and download programs keep for themselves
    name = torch_values.printable("/".join(parts), 300)
    if len(parts) < 5 or parts[-2] != "checkpoints":
      others.append(Row(name, "left out", reason=f"is not at {_LAYOUT}"))
    else:
      entries.append(Entry(path, name, *parts[-5:-2]))
  if not entries and not others:
    raise errors.UserError(f"--zoo {folder} has no file {_LAYOUT}")
  return entries, others


def convert_all(
  folder: pathlib.Path, output: storage.Path, recipes: Sequence[Recipe]
) -> list[Row]:
  """Converts every file that is not converted yet; prints what it does.

  Args:
    folder: the zoo.
    output: the folder of the workdirs.
    recipes: of the published networks.

  Returns:
    A row for every file. One that cannot be read does not stop the others.

  Raises:
    errors.UserError: see `find`.
    errors.Stopped: a signal came; what is converted stays.
  """
  entries, rows = find(folder)
  taken: dict[str, str] = {}
  try:
    for i, entry in enumerate(entries, 1):
      print(f"[{i}/{len(entries)}] {entry.name}", flush=True)
      row = Row(entry.name)
      rows.append(row)
      try:
        _convert(entry, output, recipes, row, taken)
      except errors.Stopped as stop:
        if i == 1:
          raise
        done = f"{i - 1} of {len(entries)} files are done"
        raise stop.keeping(done) from None
      except Exception as error:
        reason = _reason(error)
        if reason is None:
          raise
        ours = entry.network in inference.KNOWN
        if isinstance(error, inference.UnsupportedError) and not ours:
          row.outcome = "not supported"
          reason = f"the library has no network {entry.network} ({reason})"
        # The row names the file already.
        reason = reason.removeprefix(str(entry.path)).lstrip(": ")
        row.reason = torch_values.printable(reason, 500)
      _print(row)
  finally:
    if not storage.is_remote(output):
      storage.remove_folder(output / _UNFINISHED)
  return rows


def _print(row: Row) -> None:
  colon = f": {row.reason}" if row.reason else ""
  print(f"  {row.outcome}{colon}", flush=True)
  for line in row.told:
    print(f"  {line}", flush=True)
  if not row.reason and row.use:
    print(f"  {row.use}", flush=True)


def _reason(error: Exception) -> str | None:
  """Why a file cannot be converted; None: by a bug."""
  if isinstance(error, errors.UserError):
    return str(error)
  return failures.reason(error)


def _convert(
  entry: Entry,
  output: storage.Path,
  recipes: Sequence[Recipe],
  row: Row,
  taken: dict[str, str],
) -> None:
  """Converts one file; fills in its row."""
  with torch_file.open_checkpoint(entry.path) as opened:
    shapes = {k: x.shape for k, x in convert.relevant(opened.state).items()}
    model = inference.model_config(shapes)
    row.network = describe(model)
    row.step = _step(entry, opened.step, row)
    row.told += inference.disagreements(model, entry.network, entry.save_name)
    workdir = output / entry.dataset / entry.network / entry.save_name
    _compare(model, entry.dataset, recipes, workdir, row)
    step = workdir / "checkpoints" / str(row.step)
    if (other := taken.setdefault(str(step), entry.name)) != entry.name:
      raise errors.UserError(f"{other} is of the same step; keep one of them")
    if checkpoint.is_finished(step):
      row.outcome = "there already"
      return
    if not storage.is_remote(step) and step.exists():
      raise errors.UserError(f"{step} is there, and no checkpoint; remove it")
    variables = _variables(opened.state, model)
  _write(variables, {"model": model}, row.step, workdir, output)
  row.arrays = len(jax.tree.leaves(variables))
  row.parameters = sum(x.size for x in jax.tree.leaves(variables["params"]))
  row.outcome = "converted"


def _variables(
  state: Mapping[str, torch_file.Tensor], model: Mapping[str, Any]
) -> dict[str, Any]:
  """Reads the weights, once it is clear that they fit."""
  try:
    models.create_model(model)
  except errors.UserError as error:
    raise inference.UnsupportedError(str(error)) from error
  try:
    return convert.variables_from_opengait(state, model)
  except convert.MisfitError as error:
    raise inference.UnsupportedError(str(error)) from error


def _write(
  variables: Mapping[str, Any],
  meta: Mapping[str, Any],
  step: int,
  workdir: storage.Path,
  output: storage.Path,
) -> None:
  """Writes a checkpoint, whole or not at all."""
  target = workdir / "checkpoints"
  if storage.is_remote(output):  # what marks it as finished is written last
    checkpoint.save_model(target, variables, meta, step)
    return
  unfinished = output / _UNFINISHED
  storage.remove_folder(unfinished)
  checkpoint.save_model(unfinished, variables, meta, step)
  target.mkdir(parents=True, exist_ok=True)
  (unfinished / str(step)).rename(target / str(step))


def _step(entry: Entry, step: int, row: Row) -> int:
  """The step that the contents say, else that of the name."""
  named = re.search(r"-(\d{1,12})$", entry.path.stem)
  if not named:
    return step
  if step and step != int(named[1]):
    row.told.append(f"the name says step {int(named[1])}, the file says {step}")
  return step or int(named[1])


def describe(model: Mapping[str, Any]) -> str:
  """A network in a few words: "deepgaitv2 p3d 1-4-4-1, 3000 classes"."""
  kind = model.get("mode", model.get("variant", ""))
  words = [model["name"], kind, "-".join(map(str, model.get("blocks", ())))]
  classes = model.get("num_classes")
  if model.get("in_channels", 1) != 1:
    words.append(f"of {model['in_channels']} channels")
  text = " ".join(filter(None, words))
  return f"{text}, {classes} classes" if classes else text


def _compare(
  model: dict[str, Any],
  dataset: str,
  recipes: Sequence[Recipe],
  workdir: storage.Path,
  row: Row,
) -> None:
  """Takes from a recipe what weights do not tell; says what differs."""
  name = re.sub(r"[^a-z0-9]", "", dataset.lower())
  fitting = [
    recipe
    for recipe in recipes
    if recipe.model["name"] == model["name"] and name.startswith(recipe.dataset)
  ]
  if not fitting:
    row.told.append(f"no recipe is of {model['name']} on {dataset}")
    return
  recipe = min(fitting, key=lambda r: len(_differences(model, r.model)))
  different = _differences(model, recipe.model)
  has_neck = model.get("num_classes") and model.get("neck", True)
  if has_neck and "retrieval" in recipe.model:
    model["retrieval"] = recipe.model["retrieval"]
  row.told += [
    f"{key} is {model[key]}, and {other} in {recipe.flag}"
    for key, other in different.items()
  ]
  values = {key: str(model[key]).replace(" ", "") for key in different}
  flags = [f"--config={recipe.flag}"]
  flags += [f"--config.model.{key}={value}" for key, value in values.items()]
  flags += [f"--config.eval.checkpoint={workdir}"]
  row.use = "use: " + " ".join(map(shlex.quote, flags))


def _differences(
  model: Mapping[str, Any], recipe: Mapping[str, Any]
) -> dict[str, Any]:
  """The values of a recipe that are other ones in a network."""
  return {
    key: recipe.get(key)
    for key, value in model.items()
    if key not in _FREE and recipe.get(key) != value
  }


def table(rows: Sequence[Row]) -> str:
  """A line for every file: its network and size, or the reason."""
  cells: list[tuple[str, ...]] = [
    ("file", "network", "step", "arrays", "parameters", "outcome")
  ]
  for row in rows:
    numbers = (row.step, row.arrays, row.parameters)
    texts = ("" if x is None else f"{x:,}" for x in numbers)
    outcome = f"{row.outcome}: {row.reason}" if row.reason else row.outcome
    cells.append((row.name, row.network, *texts, outcome))
  widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
  widths[-1] = 0
  return "\n".join(
    "  ".join(
      x.rjust(w) if 2 <= i <= 4 else x.ljust(w)
      for i, (x, w) in enumerate(zip(line, widths, strict=True))
    )
    for line in cells
  )
