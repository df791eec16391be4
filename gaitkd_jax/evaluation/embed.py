"""Embeds the sequences of a split, whatever the batch, and stores them."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import os
import pathlib
import time
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import Mesh
import numpy as np
import tqdm

from gaitkd_jax import checkpoint
from gaitkd_jax import config as config_lib
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax import workdir as workdir_lib
from gaitkd_jax.evaluation import scoring
from gaitkd_jax.evaluation import store as store_lib
from gaitkd_jax.evaluation.protocols import lists
from gaitkd_jax.evaluation.protocols import searches
from gaitkd_jax.models import inputs

Batch = Mapping[str, jax.Array]


class Embedder:
  """Embeds the test split of a config."""

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

    data = test_data(config)
    self._options = protocol_options(config.eval)
    if config.eval.protocol == "gait3d":
      self._options["probes"] = datasets.probes(data)
    self._store = store.SequenceStore.from_builder(
      datasets.prepare(data), "test", data.cache_gib
    )
    self._config = config.eval
    self._mesh = mesh
    self._embed_step = make_embed_step(module, mesh)

  def __call__(self, variables: Any, subjects: int = 0) -> scoring.Embedded:
    """Embeds the split.

    Args:
      variables: of the network.
      subjects: how many of the split's subjects, evenly chosen of their sorted
        names; 0 for all.

    Returns:
      The same in every process.
    """
    from data_pipelines import pipeline

    devices = self._mesh.size
    split = self._store
    rows = self._rows(subjects)
    batches = pipeline.eval_batches(
      split,
      # Any size will do: it is rounded up to a multiple of the devices.
      batch_size=-(-self._config.batch_size // devices) * devices,
      max_frames=self._config.max_frames,
      rows=rows,
      process_index=jax.process_index(),
      process_count=jax.process_count(),
    )
    found = embed(
      self._embed_step,
      variables,
      batches,
      len(split) if rows is None else len(rows),
      self._mesh,
      rows,
    )
    return dataclasses.replace(self.labels(subjects), embeddings=found)

  def labels(self, subjects: int = 0) -> scoring.Embedded:
    """What `__call__` returns, without embeddings.

    Args:
      subjects: see there. Lists of names are cut to those of the subjects.
    """
    split = self._store
    labels = [split.subjects, split.conditions, split.views]
    rows = self._rows(subjects)
    if rows is None:
      return scoring.Embedded(None, *labels, self._options)
    labels = [x[rows] for x in labels]
    names = set(searches.names_of(*labels))
    options = {
      key: [name for name in listed if name in names]
      for key, listed in self._options.items()
    }
    return scoring.Embedded(None, *labels, options)

  def strip(self, row: int, frames: int) -> np.ndarray:
    """Some silhouettes of a sequence, uint8 `[frames, 64, 44]`.

    Args:
      row: position of the sequence in the whole split.
      frames: how many, evenly over the sequence; fewer of a shorter one.
    """
    import tensorflow as tf

    from data_pipelines import transforms

    length = self._store.lengths[row]
    chosen = np.linspace(0, length - 1, min(frames, length)).round()
    decoded = self._store.decode(
      tf.constant(self._store.read(row)), tf.constant(chosen, tf.int64)
    )
    return transforms.cut(decoded["silhouettes"]).numpy()

  def _rows(self, subjects: int) -> np.ndarray | None:
    """The sequences of some subjects; None for all."""
    everybody = np.unique(self._store.subjects)
    if not 0 < subjects < len(everybody):
      return None
    places = np.linspace(0, len(everybody) - 1, subjects).round().astype(int)
    return np.flatnonzero(np.isin(self._store.subjects, everybody[places]))


def test_data(config: Any) -> Any:
  """The section of the data that are tested."""
  return config.eval.data if len(config.eval.data) else config.data


def protocol_options(config: Any) -> dict[str, Any]:
  """What the protocol of `config.eval` has to be told, as far as it says."""
  if config.protocol != "lists":
    if config.lists:
      raise errors.UserError(
        f"config.eval.lists is {config.lists}, but protocol {config.protocol} "
        "has lists of its own; set config.eval.protocol=lists"
      )
    return {}
  if not config.lists:
    raise errors.UserError(
      "protocol lists needs probes and a gallery; give a CSV of name,role as "
      "--config.eval.lists=<file>"
    )
  return lists.read(config.lists)


def make_embed_step(
  module: nn.Module, mesh: Mesh
) -> Callable[
  [Mapping[str, Any], Batch], tuple[jax.Array, jax.Array, jax.Array]
]:
  """Returns the jitted function that embeds a batch for a search.

  It takes variables and a batch of "silhouettes" (and "heatmaps"), "lengths",
  "index", "mask", and gives float32 `[n, p, d]` with the batch's index and
  mask: all of the global batch, in every process.
  """

  def embed_step(variables, batch):
    out = module.apply(
      variables,
      inputs.network_input(batch, module.in_channels),
      batch["lengths"],
    )
    embedding = out["retrieval"].astype(jnp.float32)
    return embedding, batch["index"], batch["mask"]

  whole, split = sharding.replicated(mesh), sharding.by_sequence(mesh)
  return jax.jit(embed_step, in_shardings=(whole, split), out_shardings=whole)


def embed(
  embed_step: Any,
  variables: Any,
  batches: Iterable[Mapping[str, np.ndarray]],
  count: int,
  mesh: Mesh,
  rows: np.ndarray | None = None,
) -> np.ndarray:
  """Embeds sequences, and says how fast, in how many compiled programs.

  Args:
    embed_step: of `make_embed_step`.
    variables: of the network, replicated over the mesh.
    batches: this process's shares, with "silhouettes", "lengths", "index" (the
      position of the sequence in the split) and "mask" (False: filling).
    count: sequences.
    mesh: devices of the data axis.
    rows: int `[count]`, ascending, their positions in the split; None for all.

  Returns:
    float32 `[count, p, d]` in the order of the split, in every process.
  """
  result = None
  pending, shapes = [], set()
  began = time.monotonic()

  def store(out):
    nonlocal result
    embedding, index, mask = jax.device_get(out)
    if result is None:
      result = np.full((count, *embedding.shape[1:]), np.nan, np.float32)
    index = index[mask]
    at = index if rows is None else np.searchsorted(rows, index)
    result[at] = embedding[mask]
    bar.update(int(mask.sum()))

  with tqdm.tqdm(total=count, desc="embed", unit="seq", disable=None) as bar:
    for batch in batches:
      shapes.add(batch["silhouettes"].shape)
      pending.append(embed_step(variables, sharding.put_batch(batch, mesh)))
      if len(pending) > 1:  # fetch a batch while the next one is computed
        store(pending.pop(0))
    for out in pending:
      store(out)
  if not jax.process_index():
    seconds = time.monotonic() - began
    print(
      f"embedded {count} sequences in {seconds:.1f} s ({count / seconds:.1f} a "
      f"second), {len(shapes)} shapes of batches, each compiled once",
      flush=True,
    )
  return result


def restore(
  config: Any, workdir: str | os.PathLike[str], mesh: Mesh
) -> tuple[Any, dict[str, Any], str]:
  """Builds the network of `config` and reads its checkpoint.

  Args:
    config: `eval.checkpoint` names the checkpoint; empty is the newest of the
      workdir.
    workdir: of a training.
    mesh: devices that get the variables.

  Returns:
    The network, its variables, and where they were read.
  """
  module = models.create_model(config.model, config.dtype)
  path = config.eval.checkpoint or str(workdir)
  variables = checkpoint.restore_model(
    path, models.abstract_variables(module), sharding.replicated(mesh)
  )
  return module, variables, path


def embed_checkpoint(
  config: Any, workdir: str | os.PathLike[str]
) -> pathlib.Path | None:
  """Embeds the test split by a checkpoint and writes a store: `--mode=embed`.

  The store, `<workdir>/embeddings/<step>`, is what `evaluate.score_store` and
  scripts/search.py read.

  Args:
    config: see `restore`; `eval.store_dtype` is that of the store.
    workdir: of the results.

  Returns:
    The store; None in any but the first process.
  """
  config_lib.check(config)
  workdir_lib.make_workdir(workdir)
  mesh = sharding.create_mesh()
  module, variables, path = restore(config, workdir, mesh)
  embedder = Embedder(config, module, mesh)
  names = embedder.labels().names
  if len(set(names)) < len(names):  # found before the work is done
    raise errors.UserError(
      f"{len(names) - len(set(names))} sequences have the subject, condition "
      "and view of another; their embeddings could not be told apart: check "
      "the data set"
    )
  embedded = embedder(variables)
  if jax.process_index():
    return None
  step = checkpoint.restored_step(path)
  folder = store_lib.write(
    pathlib.Path(workdir) / "embeddings" / str(step),
    embedded.embeddings,
    embedded.subjects,
    embedded.conditions,
    embedded.views,
    embedded.names,
    facts(config, path, variables)
    | {"protocol": config.eval.protocol, "options": dict(embedded.options)},
    config.eval.store_dtype,
  )
  print(
    f"written: {folder}, {len(embedded.subjects)} embeddings; score them with "
    f"--mode=score --config.eval.embeddings={folder}",
    flush=True,
  )
  return folder


def facts(config: Any, path: str, variables: Any) -> dict[str, Any]:
  """What made embeddings, as their store keeps it."""
  data = test_data(config)
  return {
    "data": data.name,
    "model": config.model.to_dict(),
    "dtype": config.dtype,
    "checkpoint": os.path.abspath(os.path.expanduser(path)),
    "step": checkpoint.restored_step(path),
    "digest": checkpoint.digest(variables),
    "metric": config.eval.metric,
    "max_frames": config.eval.max_frames,
  }
