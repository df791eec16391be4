"""Quantises a trained network without training it: `--mode=quantize`.

python -m gaitkd_jax.main --mode=quantize --config=configs/walkers_baseline.py \
  --workdir=runs/walkers_w8a8 --config.eval.checkpoint=runs/walkers_baseline \
  --config.quantization.weights=8 --config.quantization.activations=8
"""

from collections.abc import Iterator
from collections.abc import Mapping
import os
from typing import Any

from flax import traverse_util
import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict
import numpy as np
import tqdm

from gaitkd_jax import checkpoint
from gaitkd_jax import config as config_lib
from gaitkd_jax import errors
from gaitkd_jax import evaluation
from gaitkd_jax import models
from gaitkd_jax import placement
from gaitkd_jax import quantize
from gaitkd_jax import sharding
from gaitkd_jax import storage
from gaitkd_jax import workdir as workdir_lib
from gaitkd_jax.evaluation import evaluate
from gaitkd_jax.evaluation import restoring
from gaitkd_jax.evaluation import tables
from gaitkd_jax.hosts import stopping
from gaitkd_jax.hosts import together
from gaitkd_jax.quantize import calibration

# Embeddings that are compared at once.
_BLOCK = 4096


def quantize_checkpoint(
  config: Any, workdir: str | os.PathLike[str]
) -> dict[str, float]:
  """Gives a float network the steps that its values ask for, and scores both.

  Weights stay as they are. The observer of `config.quantization` looks at
  `batches` of the training split, as training would make them. Nothing of
  teachers is read. The checkpoint is written last, when all else is done: it
  has the number of the one that it is made from.

  Args:
    config: `eval.checkpoint`, or `train.init_from` if that is empty, names the
      float checkpoint: a workdir, its folder of checkpoints, or a step.
    workdir: takes config.json, checkpoints/ and eval/; it must not hold a
      checkpoint.

  Returns:
    The quantised network's metrics by flat name; none of a submission.

  Raises:
    errors.UserError: what the user can mend.
  """
  mesh = sharding.create_mesh()
  alone = _alone(config)
  config_lib.check(alone)
  config_lib.check_batch(alone, mesh.size)
  evaluate.primary_metric(alone)
  settings = quantize.create_settings(config.quantization)
  if settings is None:
    raise errors.UserError(
      "--mode=quantize needs bits; give --config.quantization.weights=8 "
      "--config.quantization.activations=8, or fewer"
    )
  source = source_of(config, workdir)
  step = checkpoint.restored_step(source)
  checkpoint.check_place(workdir)
  workdir_lib.make_workdir(workdir)
  module, variables = restoring.restore_network(
    source,
    config.model,
    config.dtype,
    placement.place(
      models.create_model(config.model, config.dtype),
      config.sharding.classifier,
      mesh,
    ),
  )
  quantized = module.clone(quantization=settings)
  calibration.tell_float_parts(quantized)
  evaluator = evaluate.Evaluator(alone, quantized, mesh)
  new = calibrated(alone, quantized, variables, mesh)
  before = evaluate.Evaluator(alone, module, mesh)(variables)
  folder = storage.path(workdir) / "checkpoints"
  after = evaluator.finish(new, step, workdir, str(folder / str(step)))
  # All is done but for seconds of writing, and then the workdir is taken: the
  # same command could neither go on nor start anew.
  with stopping.listening():
    stopping.done()
    _write(config, workdir, quantized, new, source)
  _print(f"written: {folder / str(step)}")
  if before is None or after is None:
    _print(f"no table: a server scores what {config.eval.protocol} writes")
    return {}
  cosine = mean_cosine(before.ranker.embeddings, after.ranker.embeddings)
  _print(_table(settings.name, before, after, cosine))
  return after.flat()


def source_of(config: Any, workdir: str | os.PathLike[str]) -> str:
  """Where the float checkpoint is.

  Args:
    config: see `quantize_checkpoint`.
    workdir: see there.

  Raises:
    errors.UserError: there is none, it is quantised, or the workdir is taken.
  """
  if (step := checkpoint.newest_step(workdir)) is not None:
    place = storage.path(workdir) / "checkpoints" / str(step)
    raise errors.UserError(
      f"--workdir {workdir} holds the checkpoint {place}, and nothing is "
      "overwritten; give another --workdir"
    )
  source = config.eval.checkpoint or config.train.init_from
  if not source:
    raise errors.UserError(
      "--mode=quantize needs a float checkpoint; give "
      "--config.eval.checkpoint=<workdir or step>"
    )
  form = checkpoint.restored_meta(source).get("quantization")
  if form:
    raise errors.UserError(
      f"checkpoint {source} is quantised already, "
      f"{quantize.describe(form)}; give the float one that it was made from"
    )
  return str(source)


def calibrated(
  config: Any,
  module: models.GaitNetwork,
  variables: Mapping[str, Any],
  mesh: Mesh,
) -> dict[str, Any]:
  """Variables of a quantised network, from those of the float one.

  Args:
    config: the whole config.
    module: the quantised network.
    variables: of the float network.
    mesh: devices of the data axis.

  Returns:
    The same arrays, and observed steps.
  """
  whole = with_quantizers(module, variables, mesh)
  steps = calibration.observe(module, whole, _train_batches(config, mesh), mesh)
  count, settings = config.quantization.batches, module.quantization
  _print(
    f"quantised, {settings.name}: steps of {len(jax.tree.leaves(steps))} "
    f"quantisers from {count} batches ({settings.observer})"
  )
  return calibration.with_steps(whole, steps)


def with_quantizers(
  module: models.GaitNetwork, variables: Mapping[str, Any], mesh: Mesh
) -> dict[str, Any]:
  """Adds what a quantised network has beside the float one, as initialised.

  Args:
    module: the quantised network.
    variables: of the float network.
    mesh: devices that get the arrays.
  """
  known = traverse_util.flatten_dict(dict(variables))

  def rest(key: jax.Array) -> dict[tuple[str, ...], jax.Array]:
    drawn = traverse_util.flatten_dict(models.init_variables(module, key))
    return {path: x for path, x in drawn.items() if path not in known}

  # Compiled, so that no array is drawn that is not kept.
  more = jax.jit(rest, out_shardings=sharding.replicated(mesh))
  added = more(jax.random.key(0))
  return {"batch_stats": {}, **traverse_util.unflatten_dict({**known, **added})}


def mean_cosine(one: Any, other: Any) -> float:
  """The mean cosine of parts of two networks' embeddings.

  Args:
    one: `[n, p, d]`.
    other: `[n, p, d]`, of the same sequences.

  Returns:
    The mean over sequences and parts; a part that is 0 counts as 0.
  """
  total = 0.0
  for first in range(0, len(one), _BLOCK):
    a, b = (
      np.asarray(x[first : first + _BLOCK], np.float64) for x in (one, other)
    )
    product = np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    cosine = (a * b).sum(-1) / np.maximum(product, np.finfo(np.float64).tiny)
    total += float(cosine.sum())
  return total / (len(one) * one.shape[1])


def _alone(config: Any) -> Any:
  """The config without teachers, that scores all subjects."""
  c = config.copy_and_resolve_references()
  with c.unlocked():
    c.teachers, c.terms = ConfigDict(), ConfigDict()
    c.eval.subjects = 0
  return c


def _train_batches(config: Any, mesh: Mesh) -> Iterator[dict[str, jax.Array]]:
  """The first batches of a training with this config, on the mesh."""
  from data_pipelines import training

  c = config.copy_and_resolve_references()
  if "num_classes" in c.model:
    # Embeddings have none, so data of any number of subjects will do.
    with c.unlocked():
      c.model.num_classes = 0
  split = training.training_split(c, together.prepare_data(c.data))
  batches = training.train_batches(c, split, 0)
  # Threads that still make batches would keep the interpreter from leaving.
  try:
    for _ in tqdm.trange(
      c.quantization.batches, desc="observe", unit="batch", disable=None
    ):
      yield sharding.put_batch(next(batches), mesh)
  finally:
    batches.close()


def _write(
  config: Any,
  workdir: str | os.PathLike[str],
  module: models.GaitNetwork,
  variables: Mapping[str, Any],
  source: str,
) -> None:
  """Writes config.json and the checkpoint."""
  together.first_alone(
    lambda: workdir_lib.write_config(workdir, config.to_dict(), None, {}),
    "write config.json",
  )
  model = config.model.to_dict()
  if "num_classes" in model:
    model["num_classes"] = module.num_classes
  checkpoint.save_model(
    storage.path(workdir) / "checkpoints",
    variables,
    {
      "model": model,
      "quantization": module.quantization.form,
      "classes": checkpoint.restored_meta(source).get("classes", []),
      "source": str(storage.absolute(source)),
    },
    step=checkpoint.restored_step(source),
  )


def _table(
  name: str,
  before: evaluation.Evaluation,
  after: evaluation.Evaluation,
  cosine: float,
) -> str:
  """What the bits change: Rank-1 by condition, and the embeddings' direction.

  Args:
    name: of the bits.
    before: of the float network.
    after: of the quantised one.
    cosine: see `mean_cosine`.
  """
  metric = after.protocol.primary_metric.name
  table = tables.format_difference(
    metric, ("float", before.metrics), (name, after.metrics)
  )
  return f"\n{table}\nmean cosine of the embeddings to float: {cosine:.4f}"


def _print(text: str) -> None:
  if not jax.process_index():
    print(text, flush=True)
