"""Tests a network on other data sets than its own: `--mode=eval --on=...`."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import json
import math
import os
from typing import Any

import jax

from gaitkd_jax import config as config_lib
from gaitkd_jax import errors
from gaitkd_jax import sharding
from gaitkd_jax import storage
from gaitkd_jax import workdir as workdir_lib
from gaitkd_jax.evaluation import embed as embed_lib
from gaitkd_jax.evaluation import evaluate
from gaitkd_jax.evaluation import metrics as metrics_lib
from gaitkd_jax.evaluation import targets as targets_lib
from gaitkd_jax.evaluation import tested as tested_lib


@dataclasses.dataclass(frozen=True)
class Row:
  """A line of the table.

  Attributes:
    name: of the data set.
    primary: the metric that decides; None of a submission.
    metrics: by flat name; None where a value is not known.
  """

  name: str
  primary: metrics_lib.MetricName | None
  metrics: Mapping[str, float | None]


def mode(on: str, name: str) -> Callable[[Any, str], Any]:
  """The function that `--on` makes of a mode of the command line.

  Args:
    on: see `evaluate_on`.
    name: of the mode.

  Raises:
    errors.UserError: the mode does not evaluate.
  """
  if name != "eval":
    raise errors.UserError(
      f"--on={on} tests a checkpoint on other data sets, and --mode is {name}; "
      "give --mode=eval with it"
    )
  return lambda config, workdir: evaluate_on(config, workdir, on)


def evaluate_on(
  config: Any, workdir: str | os.PathLike[str], on: str
) -> dict[str, dict[str, float]]:
  """Tests a checkpoint on several data sets, each by its own protocol.

  A data set is reported as by `evaluate.report`, in files
  `eval/<step>_on_<data set>.*`; a table of all comes last, with what
  `eval/<step>.json` says of the config's own.

  Args:
    config: of the network; `eval.checkpoint` names the checkpoint, empty is the
      newest of the workdir.
    workdir: takes the files.
    on: names, separated by commas: "casiab", whose prepared build is taken,
      "casiab:<folder>", which is prepared if need be, "walkers:<variant>"; or
      "all", whatever is prepared.

  Returns:
    The metrics by flat name, by the name of the data set.

  Raises:
    errors.UserError: an unknown or unfit data set, or none at hand.
  """
  config_lib.check(config)
  targets_lib.find(config, on)  # before the checkpoint takes its time
  workdir_lib.make_workdir(workdir)
  mesh = sharding.create_mesh()
  tested = tested_lib.load(config, workdir, mesh)
  module, step = tested.module, tested.step
  own = targets_lib.name_of(embed_lib.test_data(config))
  known = own_metrics(config, workdir, tested.name)
  targets, absent = targets_lib.find(config, on, own if known else "")
  # All are looked at before the first takes its time.
  targets, unfit = _check(
    targets,
    lambda target: evaluate.Evaluator(changed(config, target), module, mesh),
    strict=on != targets_lib.ALL,
  )
  absent += unfit
  if not targets:
    raise errors.UserError(_nothing(config, absent))
  found: dict[str, dict[str, float]] = {}
  rows = []
  if known:
    primary = embed_lib.protocol_of(config).primary_metric
    rows.append(Row(f"{own} (own)", primary, known))
  for i, target in enumerate(targets, 1):
    what = f"{target.title}, protocol {target.protocol}"
    _print(f"\n{i} of {len(targets)}: {what}")
    evaluator = evaluate.Evaluator(changed(config, target), module, mesh)
    evaluation = evaluator.finish(
      tested.variables,
      step,
      workdir,
      tested.path,
      f"{tested.name}_{target.file}",
      tested.made_by,
    )
    assert evaluation is not None  # `targets.find` leaves submissions out
    found[target.name] = evaluation.flat()
    primary = evaluation.protocol.primary_metric
    rows.append(Row(target.title, primary, found[target.name]))
  _print(f"\nStep {step} on {len(rows)} data sets (%)\n{format_table(rows)}")
  if absent:
    prepared = embed_lib.test_data(config).prepared
    _print(f"not at hand in {prepared}: {', '.join(absent)}")
  return found


def changed(config: Any, target: targets_lib.Target) -> Any:
  """A copy of a config that tests on a data set."""
  c = config.copy_and_resolve_references()
  c.unlock()
  c.eval.data = target.data
  c.eval.protocol, c.eval.lists, c.eval.subjects = target.protocol, "", 0
  return c.lock()


def own_metrics(
  config: Any, workdir: str | os.PathLike[str], step: int | str
) -> dict[str, float | None]:
  """What an earlier evaluation found on the data of a config.

  Args:
    config: the whole config.
    workdir: of the evaluation.
    step: of the checkpoint; of an exported file, the name of its results.

  Returns:
    The metrics by flat name; none if there is no such file.
  """
  protocol = config.eval.protocol
  for name in (f"{step}", f"{step}_{protocol}"):
    path = storage.path(workdir) / "eval" / f"{name}.json"
    try:
      content = json.loads(storage.read_text(path))
    except storage.StoreError:
      raise
    except (OSError, ValueError):
      continue
    if isinstance(content, dict) and content.get("protocol") == protocol:
      return {key: content[key] for key in content if "/" in key}
  return {}


def format_table(rows: Sequence[Row]) -> str:
  """A line a data set: the metric that decides, mAP, and every condition.

  Args:
    rows: of the data sets.
  """
  width = max(len(row.name) for row in rows)
  lines = [f"{'':{width}}  Rank-1    mAP  Rank-1 by condition"]
  for row in rows:
    condition = row.primary.condition if row.primary else ""
    first = row.primary.flat if row.primary else ""
    precision = metrics_lib.MetricName(condition, "mAP").flat
    cells = [
      _text(row.metrics[name]) if name in row.metrics else ""
      for name in (first, precision)
    ]
    others = []
    for flat, value in row.metrics.items():
      metric = metrics_lib.parse(flat)
      shown = metric.name == "rank1" and metric.view is None
      if shown and metric.condition not in (condition, metrics_lib.MEAN):
        others.append(f"{metric.condition} {_text(value)}")
    line = f"{row.name:{width}}  {cells[0]:>6} {cells[1]:>6}  "
    lines.append((line + "  ".join(others)).rstrip())
  return "\n".join(lines)


def _text(value: float | None) -> str:
  known = value is not None and math.isfinite(value)
  return f"{value:.2f}" if known else "-"


def _check(
  targets: Sequence[targets_lib.Target],
  open_target: Callable[[targets_lib.Target], Any],
  strict: bool,
) -> tuple[list[targets_lib.Target], list[str]]:
  """Opens each; those that cannot be scored are an error, or left out.

  Returns:
    The targets that can be scored, and what is said of the others.
  """
  fit, unfit = [], []
  for target in targets:
    try:
      open_target(target)
    except errors.UserError as e:
      if strict:
        raise errors.UserError(f"--on={target.name}: {e}") from e
      unfit.append(f"{target.name} ({e})")
    else:
      fit.append(target)
  return fit, unfit


def _nothing(config: Any, absent: Sequence[str]) -> str:
  prepared = embed_lib.test_data(config).prepared
  return (
    f"--on={targets_lib.ALL}: nothing else is at hand in {prepared} "
    f"({', '.join(absent)}); prepare a data set, or give --on=<name>:<folder>"
  )


def _print(text: str) -> None:
  if not jax.process_index():
    print(text, flush=True)
