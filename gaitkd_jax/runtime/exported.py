"""An exported network, and how it is opened."""

from collections.abc import Mapping
from collections.abc import Sequence
import functools
import hashlib
import json
import logging
import os
import pathlib
import tempfile
from typing import Any

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax.runtime import processor
from gaitkd_jax.runtime import sequences

# Of the metadata: what this module can read.
FORMAT = 1
_FORMAT_KEY = "format"
_PREFIX = "gaitkd_jax."
_INPUTS = ("silhouettes", "lengths")
_OUTPUT = "embedding"
# Codes of weights up to which sums of two products fit in 16 bits.
_SAFE = 63
CPU = ("CPUExecutionProvider",)


class Exported:
  """A network in a file of ONNX that `gaitkd_jax.export` wrote.

  Attributes:
    path: of the file.
    metadata: what the file says of itself: "network" and its "model" config,
      "target", "bits", "checkpoint", "preprocessing", "metric", "threshold" and
      more; docs/export.md lists them.
    threads: how many compute.
    note: what was done about the processor, in one line; empty if nothing.
    digest: SHA-256 of the file.
  """

  def __init__(
    self,
    path: str | os.PathLike[str],
    threads: int = 0,
    providers: Sequence[str] = CPU,
  ):
    """Opens a file; see `load`."""
    self.path = pathlib.Path(path).expanduser()
    self._runtime = _onnxruntime()
    self._content = _read(self.path)
    self.digest = hashlib.sha256(self._content).hexdigest()
    self.threads = threads or processor.cores()
    self._providers = _available(self._runtime, providers)
    self._exact, self._optimised = False, False
    self.metadata = _metadata(self._session(), self.path)
    # ONNX Runtime takes int8 activations for uint8 where it optimises for a
    # processor of the x86 family, and then finds graphs of TensorRT invalid.
    self._optimised = (
      self.metadata.get("target") != "tensorrt" or tuple(providers) != CPU
    )
    self.note = ""
    within = self.metadata.get("weights_within")
    if _is_int8(self.metadata) and (within is None or within > _SAFE):
      self._exact = processor.saturates()
    if not self._optimised:
      self.note = (
        f"{self.path.name}: a graph for TensorRT, which ONNX Runtime runs here "
        "without optimisations, slower and exactly"
      )
    elif self._exact:
      self.note = (
        f"{self.path.name}: this processor has no VNNI, so the exact and "
        "slower way of adding products of bytes is taken "
        "(session.x64quantprecision=1)"
      )
    session = self._session()
    self._inputs = {x.name: x for x in session.get_inputs()}
    outputs = [x.name for x in session.get_outputs()]
    if set(self._inputs) - set(_INPUTS) or outputs != [_OUTPUT]:
      raise errors.UserError(
        f"{self.path} has the inputs {', '.join(self._inputs)} and the outputs "
        f"{', '.join(outputs)}; export the checkpoint anew"
      )
    self._run = session

  @property
  def frame_shape(self) -> tuple[int, ...]:
    """Of a frame: (64, 44), or (64, 44, c) of a network with heat maps."""
    return tuple(self._inputs["silhouettes"].shape[2:])

  @property
  def shape(self) -> tuple[int, int]:
    """Parts `p` and width `d` of an embedding."""
    return int(self.metadata["parts"]), int(self.metadata["width"])

  @property
  def min_frames(self) -> int:
    """Frames that a batch has at least, padding included."""
    return int(self.metadata.get("min_frames", 1))

  @functools.cached_property
  def kernels(self) -> dict[str, int]:
    """How many nodes of each kind run, by ONNX Runtime's names.

    "QLinearConv" computes in bytes, "Conv" and "FusedConv" in float. A clip of
    one black frame is run for it.
    """
    with tempfile.TemporaryDirectory() as folder:
      session = self._session(os.path.join(folder, "profile"))
      frame = np.zeros((1, 1, *self.frame_shape), np.uint8)
      session.run([_OUTPUT], self._feed(frame, np.ones(1, np.int32)))
      events = json.loads(pathlib.Path(session.end_profiling()).read_text())
    found: dict[str, int] = {}
    for event in events:
      if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
        kind = event["args"]["op_name"]
        found[kind] = found.get(kind, 0) + 1
    return dict(sorted(found.items()))

  def embed(
    self,
    silhouettes: np.ndarray | Sequence[np.ndarray],
    lengths: Any = None,
    batch_size: int = 16,
  ) -> np.ndarray:
    """Embeds sequences.

    Args:
      silhouettes: a list of sequences, uint8 `[s, 64, 44]` of any lengths, or a
        padded array, uint8 `[n, s, 64, 44]`; 0 to 255, centred as
        `metadata["preprocessing"]` says.
      lengths: of a padded array, valid frames of each sequence; None: all.
      batch_size: sequences that are in memory at once.

    Returns:
      float32 `[n, p, d]`, in the order of the sequences.

    Raises:
      errors.UserError: silhouettes or lengths are none that the network reads.
    """
    if batch_size < 1:
      raise errors.UserError(f"batch_size is {batch_size}; give at least 1")
    if isinstance(silhouettes, np.ndarray):
      sequences.check(silhouettes, self.frame_shape, "n, s")
      count, frames = silhouettes.shape[:2]
      known = sequences.check_lengths(lengths, count, frames)
      listed = [x[:k] for x, k in zip(silhouettes, known, strict=True)]
    else:
      if lengths is not None:
        raise errors.UserError(
          "lengths are given with a list of sequences, each of which has its "
          "own; leave them out, or give a padded array"
        )
      listed = list(silhouettes)
      for sequence in listed:
        sequences.check(sequence, self.frame_shape, "s")
    result = np.empty((len(listed), *self.shape), np.float32)
    if not listed:
      return result
    for padded, known, rows in sequences.batches(
      listed, batch_size, self.min_frames
    ):
      result[rows] = self.run(padded, known)
    return result

  def run(self, silhouettes: np.ndarray, lengths: Any = None) -> np.ndarray:
    """Embeds one padded batch as it is.

    Args:
      silhouettes: uint8 `[n, s, 64, 44]`.
      lengths: int `[n]`, valid frames; None: all.

    Returns:
      float32 `[n, p, d]`.

    Raises:
      errors.UserError: see `embed`.
    """
    sequences.check(silhouettes, self.frame_shape, "n, s")
    known = sequences.check_lengths(lengths, *silhouettes.shape[:2])
    if silhouettes.shape[1] < self.min_frames:
      raise errors.UserError(
        f"{self.path.name} takes batches of {self.min_frames} frames or more, "
        f"and this one has {silhouettes.shape[1]}; pad it, and give lengths"
      )
    return self._run.run([_OUTPUT], self._feed(silhouettes, known))[0]

  def _feed(
    self, silhouettes: np.ndarray, lengths: np.ndarray
  ) -> dict[str, np.ndarray]:
    values = dict(silhouettes=silhouettes, lengths=lengths)
    return {name: values[name] for name in self._inputs}

  def _session(self, profile: str = "") -> Any:
    options = self._runtime.SessionOptions()
    options.intra_op_num_threads = self.threads
    options.log_severity_level = 3  # errors; they are raised as well
    if not self._optimised:
      options.graph_optimization_level = (
        self._runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
      )
    if self._exact:
      options.add_session_config_entry("session.x64quantprecision", "1")
    if profile:
      options.enable_profiling = True
      options.profile_file_prefix = profile
    try:
      return self._runtime.InferenceSession(
        self._content, options, providers=list(self._providers)
      )
    except Exception as e:  # of no common class
      raise errors.UserError(
        f"{self.path} is no network that ONNX Runtime can open; it may be "
        f"damaged: export the checkpoint anew ({_first_line(e)})"
      ) from e


def load(
  path: str | os.PathLike[str],
  threads: int = 0,
  providers: Sequence[str] = CPU,
) -> Exported:
  """Opens an exported network.

  Args:
    path: of the file, on this machine's disk.
    threads: how many compute; 0: one for each core that this process may use.
    providers: of ONNX Runtime, the preferred one first; by default the
      processor.

  Returns:
    The network. What was done about the processor is logged as well.

  Raises:
    errors.UserError: there is no such file, it is damaged or of another
      program, or ONNX Runtime or a provider is missing.
  """
  network = Exported(path, threads, providers)
  if network.note:
    logging.getLogger(__name__).warning(network.note)
  return network


def _onnxruntime() -> Any:
  """The runtime, which only a run needs."""
  try:
    import onnxruntime
  except ImportError as e:
    raise errors.UserError(
      f"ONNX Runtime, which runs exported networks, is missing ({e}); pip "
      "install '.[export]'"
    ) from e
  return onnxruntime


def _available(runtime: Any, providers: Sequence[str]) -> Sequence[str]:
  known = runtime.get_available_providers()
  absent = [name for name in providers if name not in known]
  if absent or not providers:
    raise errors.UserError(
      f"this ONNX Runtime has no {', '.join(absent) or 'provider'}; give some "
      f"of {', '.join(known)}"
    )
  return providers


def _read(path: pathlib.Path) -> bytes:
  try:
    return path.read_bytes()
  except OSError as e:
    raise errors.UserError(
      f"{path} cannot be read ({e.strerror}); give a file that "
      "python -m gaitkd_jax.export wrote"
    ) from e


def _metadata(session: Any, path: pathlib.Path) -> Mapping[str, Any]:
  """What a file says of itself; see `Exported`."""
  found = session.get_modelmeta().custom_metadata_map
  own = {
    key.removeprefix(_PREFIX): value
    for key, value in found.items()
    if key.startswith(_PREFIX)
  }
  if _FORMAT_KEY not in own:
    raise errors.UserError(
      f"{path} was not written by python -m gaitkd_jax.export; give a file "
      "that was"
    )
  try:
    values = {key: json.loads(value) for key, value in own.items()}
  except ValueError as e:
    raise errors.UserError(
      f"the metadata of {path} cannot be read ({_first_line(e)}); export the "
      "checkpoint anew"
    ) from e
  if values[_FORMAT_KEY] != FORMAT:
    raise errors.UserError(
      f"{path} has format {values[_FORMAT_KEY]}, and this version of "
      f"gaitkd_jax reads {FORMAT}; use the version that wrote it, "
      f"{values.get('library', 'which is unknown')}"
    )
  return values


def _is_int8(metadata: Mapping[str, Any]) -> bool:
  return bool((metadata.get("bits") or {}).get("activations"))


def _first_line(error: Exception) -> str:
  lines = str(error).strip().splitlines() or [type(error).__name__]
  return lines[0][:200]
