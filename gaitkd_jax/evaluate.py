"""Embed a split, score it by a protocol, show the table."""

from collections.abc import Iterable
from collections.abc import Mapping
import functools
import json
import math
import os
import pathlib
import tempfile
from typing import Any

import jax
from jax.sharding import Mesh
import numpy as np
import tqdm

from gaitkd_jax import checkpoint
from gaitkd_jax import config as config_lib
from gaitkd_jax import distances
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import protocols
from gaitkd_jax import sharding
from gaitkd_jax import step as step_lib


def evaluate_embeddings(
  protocol: str,
  embeddings: np.ndarray,
  subjects: np.ndarray,
  conditions: np.ndarray,
  views: np.ndarray,
  metric: str = "euclidean",
  **options,
) -> dict[str, float]:
  """Scores embeddings.

  Args:
    protocol: a key of `protocols.PROTOCOLS`.
    embeddings: `[n, p, d]`, one a sequence.
    subjects: str `[n]`.
    conditions: str `[n]`, such as "nm-01".
    views: str `[n]`, such as "090".
    metric: "euclidean" or "cosine", averaged over parts.
    **options: of the protocol.

  Returns:
    Percentages by name: "<condition>/rank1" (without identical views),
    "<condition>/rank1_identical_view", "<condition>/view/<probe view>", and
    "mean/..." over the conditions.

  Raises:
    errors.UserError: unknown protocol, unequal lengths, embeddings that are
      not finite, no gallery or no probe.
  """
  if protocol not in protocols.PROTOCOLS:
    raise errors.UserError(
      f"eval.protocol is {protocol!r}; give one of "
      f"{', '.join(protocols.PROTOCOLS)}"
    )
  if metric not in distances.METRICS:
    raise errors.UserError(
      f"eval.metric is {metric!r}; give one of {', '.join(distances.METRICS)}"
    )
  embeddings = np.asarray(embeddings)
  subjects, conditions, views = map(np.asarray, (subjects, conditions, views))
  if not len(embeddings) == len(subjects) == len(conditions) == len(views):
    raise errors.UserError(
      f"{len(embeddings)} embeddings, {len(subjects)} subjects, "
      f"{len(conditions)} conditions and {len(views)} views; give one of each "
      "a sequence"
    )
  finite = np.isfinite(embeddings).all(axis=(1, 2))
  if not finite.all():
    i = np.argmin(finite)
    raise errors.UserError(
      f"{np.sum(~finite)} embeddings are not finite, the first that of "
      f"sequence {subjects[i]}-{conditions[i]}-{views[i]}; the network or its "
      "checkpoint is broken"
    )
  return protocols.PROTOCOLS[protocol](
    embeddings, subjects, conditions, views, metric, **options
  )


def embed(
  embed_step: Any,
  variables: Any,
  batches: Iterable[Mapping[str, np.ndarray]],
  count: int,
  mesh: Mesh,
) -> np.ndarray:
  """Embeds a split.

  Args:
    embed_step: of `step.make_embed_step`.
    variables: of the network, replicated over the mesh.
    batches: this process's shares, with "silhouettes", "lengths", "index" (the
      position of the sequence in the split) and "mask" (False: filling).
    count: sequences of the split.
    mesh: devices of the data axis.

  Returns:
    float32 `[count, p, d]` in the order of the split, in every process.
  """
  result = None
  pending = []

  def store(out):
    nonlocal result
    embedding, index, mask = jax.device_get(out)
    if result is None:
      result = np.full((count, *embedding.shape[1:]), np.nan, np.float32)
    result[index[mask]] = embedding[mask]
    bar.update(int(mask.sum()))

  with tqdm.tqdm(total=count, desc="embed", unit="seq", disable=None) as bar:
    for batch in batches:
      pending.append(embed_step(variables, sharding.put_batch(batch, mesh)))
      if len(pending) > 1:  # fetch a batch while the next one is computed
        store(pending.pop(0))
    for out in pending:
      store(out)
  return result


class Evaluator:
  """Scores a network on the test split of a config."""

  def __init__(self, config: Any, module: Any, mesh: Mesh):
    """Reads the split; the network is compiled at the first call.

    Args:
      config: the whole config; `eval.data`, where given, replaces `data`.
      module: the network.
      mesh: devices of the data axis.
    """
    # TensorFlow is loaded by a run, not by an import of this module.
    from data_pipelines import datasets
    from data_pipelines import store

    data = config.eval.data if len(config.eval.data) else config.data
    self._store = store.SequenceStore.from_builder(
      datasets.prepare(data), "test"
    )
    self._config = config.eval
    self._mesh = mesh
    self._embed_step = step_lib.make_embed_step(module, mesh)

  def __call__(self, variables: Any) -> dict[str, float]:
    """Returns the protocol's figures."""
    from data_pipelines import pipeline

    devices = self._mesh.size
    batches = pipeline.eval_batches(
      self._store,
      # Any size will do: it is rounded up to a multiple of the devices.
      batch_size=-(-self._config.batch_size // devices) * devices,
      max_frames=self._config.max_frames,
      process_index=jax.process_index(),
      process_count=jax.process_count(),
    )
    embeddings = embed(
      self._embed_step, variables, batches, len(self._store), self._mesh
    )
    return evaluate_embeddings(
      self._config.protocol,
      embeddings,
      self._store.subjects,
      self._store.conditions,
      self._store.views,
      self._config.metric,
    )


def main_figure(config: Any) -> str:
  """The name of the figure by which checkpoints of `config` are compared."""
  if config.eval.protocol not in protocols.PROTOCOLS:
    raise errors.UserError(
      f"eval.protocol is {config.eval.protocol!r}; give one of "
      f"{', '.join(protocols.PROTOCOLS)}"
    )
  return protocols.PROTOCOLS[config.eval.protocol].main_figure


def evaluate_checkpoint(
  config: Any, workdir: str | os.PathLike[str]
) -> dict[str, float]:
  """Restores a model, scores it, prints the table and writes the JSON.

  Args:
    config: `eval.checkpoint` names the checkpoint; empty is the newest of the
      workdir.
    workdir: `eval/<step>.json` is written there.

  Returns:
    The figures.
  """
  config_lib.check(config)
  main_figure(config)
  make_workdir(workdir)
  mesh = sharding.create_mesh()
  module = models.create_model(config.model, config.dtype)
  path = config.eval.checkpoint or workdir
  variables = checkpoint.restore_model(
    path,
    abstract_variables(module),
    sharding.replicated(mesh),
  )
  results = Evaluator(config, module, mesh)(variables)
  report(results, checkpoint.restored_step(path), workdir)
  return results


def abstract_variables(module: Any) -> dict[str, Any]:
  """Shapes of the variables of a network."""
  return jax.eval_shape(
    functools.partial(models.init_variables, module), jax.random.key(0)
  )


def make_workdir(workdir: str | os.PathLike[str]) -> None:
  """Makes the folder of the results, before any work is done."""
  try:
    pathlib.Path(workdir).mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=workdir).close()
  except OSError as e:
    raise errors.UserError(
      f"--workdir {workdir} cannot be written ({e.strerror}); give another"
    ) from e


def report(
  results: Mapping[str, float], step: int, workdir: str | os.PathLike[str]
) -> None:
  """Prints the table and writes `eval/<step>.json`, in the first process."""
  if jax.process_index():
    return
  print(format_table(results), flush=True)
  path = pathlib.Path(workdir) / "eval" / f"{step}.json"
  path.parent.mkdir(parents=True, exist_ok=True)
  clean = {k: v if math.isfinite(v) else None for k, v in results.items()}
  new = path.with_suffix(".tmp")
  new.write_text(json.dumps({"step": step, **clean}, indent=2) + "\n")
  new.replace(path)
  print(f"written: {path}", flush=True)


def format_table(results: Mapping[str, float]) -> str:
  """Rank-1 by condition and probe view, as papers on CASIA-B print it."""
  views = sorted({k.split("/")[2] for k in results if "/view/" in k})
  lines = [
    "Rank-1 (%) by probe view, identical views left out",
    "       " + "".join(f"{v:>7}" for v in views) + "   mean",
  ]
  for key, value in results.items():
    name, _, figure = key.partition("/")
    if figure == "rank1":
      cells = [results.get(f"{name}/view/{v}", math.nan) for v in views]
      lines.append(
        f"{name:<7}"
        + "".join(f"{c:7.2f}" for c in (cells if name != "mean" else ()))
        + (" " * 7 * len(views) if name == "mean" else "")
        + f"{value:7.2f}"
      )
  return "\n".join(lines)
