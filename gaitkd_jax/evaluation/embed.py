"""Embeds the sequences of a split and stores the embeddings."""

from collections.abc import Mapping
from collections.abc import Sequence
import os
from typing import Any

import jax
from jax.sharding import Mesh
import numpy as np

from gaitkd_jax import config as config_lib
from gaitkd_jax import errors
from gaitkd_jax import sharding
from gaitkd_jax import storage
from gaitkd_jax import workdir as workdir_lib
from gaitkd_jax.evaluation import distances
from gaitkd_jax.evaluation import embedded as embedded_lib
from gaitkd_jax.evaluation import embedding
from gaitkd_jax.evaluation import partial as partial_lib
from gaitkd_jax.evaluation import protocols
from gaitkd_jax.evaluation import store as store_lib
from gaitkd_jax.evaluation import tested as tested_lib
from gaitkd_jax.evaluation.protocols import left_out as left_out_lib
from gaitkd_jax.hosts import stopping
from gaitkd_jax.hosts import together

Batch = Mapping[str, jax.Array]
# Where it was before a file could be tested, too.
restore = tested_lib.restore


class Embedder:
  """Embeds the test split of a config."""

  def __init__(self, config: Any, module: Any, mesh: Mesh):
    """Reads the split; the network is compiled at the first call.

    Args:
      config: the whole config; `eval.data`, where given, replaces `data`.
      module: the network, or an exported one.
      mesh: devices of the data axis.
    """
    # TensorFlow is loaded by a run, not by an import of this module.
    from data_pipelines import store

    data = test_data(config)
    self._roles = roles(config)
    self._split = store.SequenceStore.from_builder(
      together.prepare_data(data), "test", data.cache_gib
    )
    self.absent_probes = absent_probes(config)
    self._config = config.eval
    self._mesh = mesh
    self._embed_step = embedding.make_embed_step(module, mesh)

  def __call__(
    self,
    variables: Any,
    subjects: int = 0,
    done: partial_lib.Partial | None = None,
  ) -> embedded_lib.Embedded:
    """Embeds the split.

    Args:
      variables: of the network.
      subjects: how many of the split's subjects, evenly chosen of their sorted
        names; 0 for all.
      done: what is done already, and takes what is done from now on.

    Returns:
      The same in every process; its options are `roles` of these subjects.
    """
    from data_pipelines import pipeline

    rows = self._rows(subjects)
    batches = pipeline.eval_batches(
      self._split,
      batch_size=self.batch_size,
      max_frames=self._config.max_frames,
      rows=rows,
      start=done.done if done else 0,
      process_index=jax.process_index(),
      process_count=jax.process_count(),
    )
    embeddings = embedding.embed(
      self._embed_step,
      variables,
      batches,
      len(self._split) if rows is None else len(rows),
      self._mesh,
      rows,
      done,
    )
    return embedded_lib.Embedded(
      embeddings, self.labels(subjects), self.roles(subjects)
    )

  @property
  def batch_size(self) -> int:
    """Sequences of a batch.

    Any size is allowed: it is rounded up to a multiple of the devices.
    """
    devices = self._mesh.size
    return -(-self._config.batch_size // devices) * devices

  def labels(self, subjects: int = 0) -> embedded_lib.Labels:
    """Whose embeddings `__call__` returns."""
    split = self._split
    labels = embedded_lib.Labels(split.subjects, split.conditions, split.views)
    rows = self._rows(subjects)
    return labels if rows is None else labels[rows]

  def roles(self, subjects: int = 0) -> dict[str, Sequence[str]]:
    """The sequences of `labels` that the protocol knows by name."""
    if self._rows(subjects) is None:
      return self._roles
    names = set(self.labels(subjects).names)
    return {
      role: [name for name in listed if name in names]
      for role, listed in self._roles.items()
    }

  def left_out(self, subjects: int = 0) -> tuple[left_out_lib.LeftOut, ...]:
    """What is not among the sequences of `labels`, though it might be."""
    found = left_out_lib.of_lists(self.absent_probes)
    if self._rows(subjects) is not None:
      names = np.unique(self._split.subjects)
      rest = np.setdiff1d(names, self.labels(subjects).subjects)
      found += (
        left_out_lib.LeftOut.of(
          "", rest, "subject", "every figure", f"eval.subjects is {subjects}"
        ),
      )
    return found

  def identity(self, subjects: int = 0) -> list[Any]:
    """Names, lengths and bytes of sequences: JSON that tells them from others.

    Args:
      subjects: see `__call__`.
    """
    rows = self._rows(subjects)
    rows = np.arange(len(self._split)) if rows is None else rows
    columns = self._split.names, self._split.lengths, self._split.sizes
    return [column[rows].tolist() for column in columns]

  def strip(self, row: int, frames: int) -> np.ndarray:
    """Some silhouettes of a sequence, uint8 `[frames, 64, 44]`.

    Args:
      row: position of the sequence in the whole split.
      frames: how many, evenly over the sequence; fewer of a shorter one.
    """
    length = self._split.lengths[row]
    chosen = np.linspace(0, length - 1, min(frames, length)).round()
    return self._decode(row, chosen)["silhouettes"]

  def clip(self, row: int, frames: int) -> dict[str, np.ndarray]:
    """Consecutive frames from the middle of a sequence, as a batch of one.

    Args:
      row: position of the sequence in the whole split.
      frames: how many; a shorter sequence is padded with zeros.

    Returns:
      "silhouettes" uint8 `[1, frames, 64, 44]`, "heatmaps" uint8
      `[1, frames, 64, 44, 2]` where the data have them, and "lengths" int32
      `[1]`.
    """
    whole = int(self._split.lengths[row])
    length = min(frames, whole)
    first = (whole - length) // 2
    batch = {"lengths": np.array([length], np.int32)}
    decoded = self._decode(row, np.arange(first, first + length))
    for name, clip in decoded.items():
      if name == "heatmaps":
        clip = np.moveaxis(clip, 1, -1)
      batch[name] = np.zeros((1, frames, *clip.shape[1:]), np.uint8)
      batch[name][0, :length] = clip
    return batch

  def _decode(self, row: int, chosen: np.ndarray) -> dict[str, np.ndarray]:
    """Some frames of all modalities of a sequence, cut to 44 columns."""
    import tensorflow as tf

    from data_pipelines import transforms

    decoded = self._split.decode(
      tf.constant(self._split.read(row)), tf.constant(chosen, tf.int64)
    )
    return {name: transforms.cut(x).numpy() for name, x in decoded.items()}

  def _rows(self, subjects: int) -> np.ndarray | None:
    """The sequences of some subjects; None for all."""
    everybody = np.unique(self._split.subjects)
    if not 0 < subjects < len(everybody):
      return None
    places = np.linspace(0, len(everybody) - 1, subjects).round().astype(int)
    return np.flatnonzero(np.isin(self._split.subjects, everybody[places]))


def test_data(config: Any) -> Any:
  """The section of a config that names the data set to be tested."""
  return config.eval.data if len(config.eval.data) else config.data


def protocol_of(config: Any) -> protocols.EvaluationProtocol:
  """The protocol of a config.

  Raises:
    errors.UserError: `eval.protocol` or `eval.metric` is unknown.
  """
  if config.eval.metric not in distances.METRICS:
    raise errors.UserError(
      f"config.eval.metric is {config.eval.metric!r}; give one of "
      f"{', '.join(distances.METRICS)}"
    )
  return protocols.find(config.eval.protocol)


def roles(config: Any) -> dict[str, Sequence[str]]:
  """Sequences that the protocol of a config knows by name.

  Raises:
    errors.UserError: see `protocols.EvaluationProtocol.roles`.
  """

  def data_roles() -> Mapping[str, Sequence[str]]:
    # TensorFlow is loaded only where the data set has to be asked.
    from data_pipelines import datasets

    data = test_data(config)
    return datasets.roles(data, together.prepare_data(data))

  return protocol_of(config).roles(config.eval, data_roles)


def absent_probes(config: Any) -> tuple[str, ...]:
  """The probes that a data set lists, but that are not there."""
  if not protocol_of(config).listed_by_data:
    return ()
  from data_pipelines import datasets

  return datasets.absent_probes(test_data(config))


def embed_checkpoint(
  config: Any, workdir: str | os.PathLike[str]
) -> storage.Path | None:
  """Embeds the test split by a network and writes a store: `--mode=embed`.

  The store, `<workdir>/embeddings/<step>` of a checkpoint and
  `<workdir>/embeddings/<step>_<name>` of an exported file, is what
  `evaluate.score_store` and scripts/search.py read. A run that was stopped goes
  on with the batches that are missing.

  Args:
    config: see `tested.load`; `eval.store_dtype` is that of the store.
    workdir: of the results.

  Returns:
    The store; None in any but the first process.
  """
  config_lib.check(config)
  protocol_of(config)
  workdir_lib.make_workdir(workdir)
  mesh = sharding.create_mesh()
  tested = tested_lib.load(config, workdir, mesh)
  embedder = Embedder(config, tested.module, mesh)
  names = embedder.labels().names
  if len(set(names)) < len(names):  # found before the work is done
    raise errors.UserError(
      f"{len(names) - len(set(names))} sequences have the subject, condition "
      "and view of another; their embeddings could not be told apart: check "
      "the data set"
    )
  done = partial_lib.Partial(
    storage.path(workdir) / "embeddings" / f".{tested.name}.partial",
    {
      "digest": tested.digest,
      "retrieval": config.model.get("retrieval", "embedding"),
      "dtype": config.dtype,
      "sequences": embedder.identity(),
      "max_frames": config.eval.max_frames,
      "batch_size": embedder.batch_size,
      "devices": [mesh.size, jax.devices()[0].device_kind],
    },
  )
  with stopping.held():
    embedded = embedder(tested.variables, done=done)
  described = tested.described(config) | {
    "data": test_data(config).name,
    "metric": config.eval.metric,
    "max_frames": config.eval.max_frames,
  }

  def write() -> storage.Path:
    labels = embedded.labels
    folder = store_lib.write(
      storage.path(workdir) / "embeddings" / tested.name,
      embedded.embeddings,
      labels.subjects,
      labels.conditions,
      labels.views,
      labels.names,
      described
      | {
        "protocol": config.eval.protocol,
        "options": dict(embedded.options),
        "absent_probes": list(embedder.absent_probes),
      },
      config.eval.store_dtype,
    )
    done.discard()
    print(
      f"written: {folder}, {len(labels)} embeddings; score them with "
      f"--mode=score --config.eval.embeddings={folder}",
      flush=True,
    )
    return folder

  return together.first_alone(write, "write the embeddings")
