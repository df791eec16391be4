"""Writes a checkpoint for another runtime, and checks what was written."""

from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
import os
import pathlib
import secrets
from typing import Any

import jax

from gaitkd_jax import checkpoint
from gaitkd_jax import cost
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import quantize
from gaitkd_jax import sharding
from gaitkd_jax import storage
from gaitkd_jax.evaluation import embed as embed_lib
from gaitkd_jax.evaluation import restoring
from gaitkd_jax.export import card as card_lib
from gaitkd_jax.export import check as check_lib
from gaitkd_jax.export import metadata as metadata_lib
from gaitkd_jax.export import planning
from gaitkd_jax.export import quantising
from gaitkd_jax.export import reference
from gaitkd_jax.export import silhouettes
from gaitkd_jax.export import source as source_lib
from gaitkd_jax.export import threshold as threshold_lib
from gaitkd_jax.hosts import stopping

INT8 = ("ort", "openvino", "tensorrt")
ONNX = ("float", *INT8)
# Those after ONNX take networks of any bits.
TARGETS = (*ONNX, "stablehlo", "tflite")


@dataclasses.dataclass(frozen=True)
class Request:
  """What is to be exported.

  Attributes:
    checkpoint: a workdir, its `checkpoints` folder, or one step in it.
    output: the file, which must not be there.
    target: of `TARGETS`.
    config: the whole config, whose test data are taken for check and threshold;
      None: walkers are rendered.
    calibrate: see `quantising.calibrated`; "" if the network keeps its bits.
    bits: "weights", "activations" and "range" of a calibration, where given.
  """

  checkpoint: str
  output: str
  target: str = "float"
  config: Any = None
  calibrate: str = ""
  bits: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def export(request: Request) -> check_lib.Result:
  """Writes the file and its model card, `<file>.md`; both or neither.

  Args:
    request: what is to be exported.

  Returns:
    What the check measured.

  Raises:
    errors.UserError: what the user can mend; or the file is not what the
      network is.
  """
  output = storage.path(request.output)
  _check_output(output)
  source = source_lib.find(request.checkpoint, request.config)
  _check_bits(request, source)
  if request.config is not None:
    embed_lib.protocol_of(request.config)  # whose metric is known
  mesh = sharding.create_mesh(1)
  module, variables = restoring.restore_network(
    source.path,
    source.model,
    "float32",
    sharding.replicated(mesh),
    source.form or None,
  )
  digest, calibration = checkpoint.digest(variables), None
  if request.calibrate:
    settings = quantising.settings(request.config, request.bits)
    module = module.clone(quantization=settings)
    variables, calibration = quantising.calibrated(
      module, variables, request.calibrate, request.config, mesh
    )
  # A network that cannot be written is known before anything is embedded.
  plan = None
  if request.target != "stablehlo":
    plan = planning.plan_of(module, jax.device_get(variables))
  embed = reference.embedder(module, variables)
  sequences, people = _sequences(request, source, module.in_channels)
  metric = request.config.eval.metric if request.config else source.metric
  metadata = metadata_lib.describe(
    model=source.model,
    target=request.target,
    bits=module.quantization.form if module.quantization else {},
    digest=digest,
    step=source.step,
    classes=len(source.classes),
    metric=metric,
    frame=sequences.clips[0].shape[1:],
    shape=reference.shape(module),
    min_frames=reference.min_frames(module),
    within=plan and metadata_lib.weights_within(plan),
    threshold=people
    and threshold_lib.find(
      embed(people.clips), people.subjects, metric, people.data
    ),
    calibration=calibration,
  )
  with _new_file(output) as new:
    _write(request.target, plan, module, variables, metadata, new)
    three = sequences.three_lengths()
    result = check_lib.measure(
      new,
      request.target,
      three,
      embed(three),
      sequences.one_clip(),
      sequences.data,
    )
    for line in result.lines():
      print(line, flush=True)
    settings = module.quantization
    check_lib.check(
      result,
      settings is not None,
      request.target,
      (settings and settings.activations) or 8,
    )
    text = card_lib.write(
      output.name,
      metadata,
      result,
      source,
      cost.retrieval_parameters(module.clone(quantization=None)),
    )
    card = new.with_name(f"{new.name}.md")
    card.write_text(text)
    with stopping.held():  # no file without its card, nor a card alone
      _put({card: card_of(output), new: output})
  print(f"written: {output} and {card_of(output).name}", flush=True)
  return result


def card_of(output: storage.Path) -> storage.Path:
  """Where the model card of a file lies."""
  return output.parent / f"{output.name}.md"


def _check_output(output: storage.Path) -> None:
  """Refuses a file that is there, or a folder that cannot be written."""
  for place in (output, card_of(output)):
    if storage.exists(place):
      raise errors.UserError(
        f"--output {output}: {place} is there, and nothing is overwritten; "
        "give another --output, or delete it"
      )
  storage.check_writable(output.parent, "the folder of --output")


def _check_bits(request: Request, source: source_lib.Source) -> None:
  """Refuses a target that does not take the bits of a checkpoint."""
  form, target = source.form, request.target
  known = f"checkpoint {source.path} is {quantize.describe(form)}"
  if request.bits and not request.calibrate:
    raise errors.UserError(
      f"--{next(iter(request.bits))} is given without --calibrate, and the "
      "network keeps its bits; drop it, or give --calibrate=walkers"
    )
  if request.calibrate and form:
    raise errors.UserError(
      f"{known} already; drop --calibrate, or give the float one"
    )
  if target == "float" and request.calibrate:
    raise errors.UserError(
      "--target=float has no bits to calibrate; drop --calibrate, or give "
      f"--target={' or '.join(INT8)}"
    )
  if target == "float" and form:
    raise errors.UserError(
      f"{known}, and --target=float writes float networks; give --target="
      f"{' or '.join(INT8)}, or the float checkpoint"
    )
  if target in INT8 and not request.calibrate:
    if not form:
      raise errors.UserError(
        f"{known}, and --target={target} computes in bytes; give a quantised "
        "one (--mode=quantize, or training in few bits), or calibrate this one "
        "with --calibrate=walkers, --calibrate=<folder of silhouettes> or "
        "--calibrate=config --config=<file>"
      )
    if not form.get("weights") or not form.get("activations"):
      raise errors.UserError(
        f"{known}, and --target={target} needs bits for weights and for "
        "activations; give another checkpoint, or --target=stablehlo"
      )


def _sequences(
  request: Request, source: source_lib.Source, in_channels: int
) -> tuple[silhouettes.Sequences, silhouettes.Sequences | None]:
  """Those for the check, and those for the threshold, if there are any."""
  data = source.data
  if request.config is not None:
    data = embed_lib.test_data(request.config).name
  if data == silhouettes.WALKERS:
    few = silhouettes.walkers(in_channels, many=False)
    return few, silhouettes.walkers(in_channels, many=True)
  if request.config is not None:
    found = silhouettes.tested(request.config, in_channels)
    return found, found
  # Of other people than it was made for: nothing is said of its threshold.
  return silhouettes.walkers(in_channels, many=False), None


def _write(
  target: str,
  plan: Any,
  module: models.GaitNetwork,
  variables: Mapping[str, Any],
  metadata: Mapping[str, Any],
  path: pathlib.Path,
) -> None:
  """Writes a file for a target."""
  if target == "stablehlo":
    from gaitkd_jax.export import stablehlo

    stablehlo.write(module, variables, metadata, path)
  elif target == "tflite":
    from gaitkd_jax.export import tflite

    tflite.write(plan, metadata, path)
  else:
    path.write_bytes(_graph(plan, target, metadata))


def _graph(plan: Any, target: str, metadata: Mapping[str, Any]) -> bytes:
  try:
    import onnx  # noqa: F401  # the extra is asked for in one line
    import onnxruntime  # noqa: F401

    from gaitkd_jax.export import onnx_graph
  except ImportError as e:
    raise errors.UserError(
      f"--target={target} needs onnx and onnxruntime ({e}); pip install "
      "'.[export]'"
    ) from e
  return metadata_lib.attach(onnx_graph.to_onnx(plan, target), metadata)


@contextlib.contextmanager
def _new_file(output: storage.Path) -> Iterator[pathlib.Path]:
  """A name beside the output; what has it is removed at the end.

  Of an output in a store it is in a folder of its own.
  """
  name = f".{output.name}.{secrets.token_hex(4)}.tmp"
  remote = storage.is_remote(output)
  new = (storage.scratch() if remote else pathlib.Path(output.parent)) / name
  try:
    yield new
  finally:
    for left in (new, new.with_name(f"{new.name}.md")):
      left.unlink(missing_ok=True)


def _put(files: Mapping[pathlib.Path, storage.Path]) -> None:
  """Gives finished files their names; all of them or none."""
  done: list[storage.Path] = []
  try:
    for written, place in files.items():
      if storage.is_remote(place):
        storage.write_bytes(place, written.read_bytes())
      else:
        os.replace(written, place)
      done.append(place)
  except OSError as e:
    for place in done:
      storage.remove(place)
    raise errors.UserError(
      f"{place} cannot be written ({e.strerror or e}); make room, or give "
      "another --output"
    ) from e
