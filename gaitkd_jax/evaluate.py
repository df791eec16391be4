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
from gaitkd_jax.protocols import ranks


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
    **options: of the protocol: `probes`, the names of the probes
      ("<subject>-<condition>-<view>"), for gait3d; none for the others.

  Returns:
    Percentages by name, "<condition>/<figure>" ("all/..." where there is one):
    "rank1", "rank5", ...: identical views left out in casiab, oumvlp, ccpg and
    sustech1k; of those also "rank1_identical_view", "rank1_all_views" and
    "view/<probe view>" (Rank-1). "mAP", "mINP" in gait3d; "reid_rank1",
    "reid_mAP", "reid_mINP" in ccpg. "mean/..." over the conditions in casiab
    and ccpg. Conditions without a probe or a gallery are left out.

  Raises:
    errors.UserError: unknown protocol or option, wrong shapes, embeddings that
      are not finite, no gallery or no probe, probes that do not exist.
  """
  if protocol not in protocols.PROTOCOLS:
    raise errors.UserError(
      f"eval.protocol is {protocol!r}; give one of "
      f"{', '.join(protocols.PROTOCOLS)}"
    )
  scorer = protocols.PROTOCOLS[protocol]
  if metric not in distances.METRICS:
    raise errors.UserError(
      f"eval.metric is {metric!r}; give one of {', '.join(distances.METRICS)}"
    )
  known = ("probes",) if scorer.needs_probes else ()
  unknown = [name for name in options if name not in known]
  if unknown:
    raise errors.UserError(
      f"protocol {protocol} has no option {', '.join(unknown)}; it has "
      f"{', '.join(known) or 'none'}"
    )
  embeddings = np.asarray(embeddings)
  subjects, conditions, views = (
    np.asarray(x).astype(str) for x in (subjects, conditions, views)
  )
  if not len(embeddings) == len(subjects) == len(conditions) == len(views):
    raise errors.UserError(
      f"{len(embeddings)} embeddings, {len(subjects)} subjects, "
      f"{len(conditions)} conditions and {len(views)} views; give one of each "
      "a sequence"
    )
  if embeddings.ndim != 3:
    raise errors.UserError(
      f"embeddings have the shape {list(embeddings.shape)}; give "
      "[sequences, parts, channels]"
    )
  finite = np.isfinite(embeddings).all(axis=(1, 2))
  if not finite.all():
    i = np.argmin(finite)
    raise errors.UserError(
      f"{np.sum(~finite)} embeddings are not finite, the first that of "
      f"sequence {subjects[i]}-{conditions[i]}-{views[i]} (number {i}); the "
      "network or its checkpoint is broken"
    )
  ranker = ranks.Ranker(embeddings, subjects, metric)
  return scorer(ranker, subjects, conditions, views, **options)


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
    self._options = {}
    if protocols.PROTOCOLS[config.eval.protocol].needs_probes:
      self._options["probes"] = datasets.probes(data)
    self._store = store.SequenceStore.from_builder(
      datasets.prepare(data), "test", data.cache_gib
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
      **self._options,
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


# Wider tables than OU-MVLP's 14 views are not read.
_MAX_VIEWS = 14
_VIEW_FIGURES = ("rank1", "rank1_identical_view", "rank1_all_views")


def format_table(results: Mapping[str, float]) -> str:
  """Tables of `evaluate_embeddings`' figures, as papers print them.

  Rank-1 by condition and probe view where there are at most 14 views, and all
  figures by condition where there are more than those of single views.
  """
  views = sorted({k.split("/")[2] for k in results if "/view/" in k})
  names = list(dict.fromkeys(k.partition("/")[0] for k in results))
  figures = list(
    dict.fromkeys(k.partition("/")[2] for k in results if "/view/" not in k)
  )
  lines = []
  by_view = 0 < len(views) <= _MAX_VIEWS or set(figures) <= set(_VIEW_FIGURES)
  if by_view:
    shown = views if len(views) <= _MAX_VIEWS else []
    lines.append("Rank-1 (%) by probe view, identical views left out")
    columns = {view: f"view/{view}" for view in shown}
    lines += _table(results, names, columns | {"mean": "rank1"})
  if not set(figures) <= set(_VIEW_FIGURES):
    if by_view:
      lines.append("")
    lines.append("All figures (%)")
    lines += _table(results, names, {figure: figure for figure in figures})
  if any(figure.startswith("reid_") for figure in figures):
    lines.append(
      "rank1 is the gait protocol (identical views left out); reid_* is the "
      "re-identification protocol: never compare one with the other"
    )
  return "\n".join(lines)


def _table(
  results: Mapping[str, float], names: list[str], columns: Mapping[str, str]
) -> list[str]:
  """A line of headings, then a line a name; no value is a blank."""
  first = max([7, *(len(name) + 1 for name in names)])
  widths = [max(7, len(heading) + 1) for heading in columns]

  def line(name, cells):
    return f"{name:<{first}}" + "".join(
      f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)
    )

  def cell(name, figure):
    value = results.get(f"{name}/{figure}")
    return "" if value is None else f"{value:.2f}"

  return [line("", columns)] + [
    line(name, [cell(name, figure) for figure in columns.values()])
    for name in names
  ]
