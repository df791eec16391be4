"""A network as one StableHLO program, for JAX on any platform.

The program is what `jax.jit` makes of the network's evaluation, for any number
of sequences and of frames, its weights inside. Whoever runs it needs JAX and
nothing of this library.

The file is an uncompressed zip archive of two members: `metadata.json`, and
`program.bin`, the bytes of `jax.export`. The same network, metadata and version
of JAX make the same bytes. docs/export_stablehlo.md runs one in ten lines.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import io
import json
from typing import Any
import zipfile

from flax import linen as nn
import jax
from jax import export
from jax import lax
import jax.numpy as jnp

from gaitkd_jax import checkpoint
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import storage
from gaitkd_jax.models import inputs

PLATFORMS = ("cpu", "cuda", "tpu")
_METADATA, _PROGRAM = "metadata.json", "program.bin"
# The first date that a zip archive can hold: a file does not tell its age.
_DATE = (1980, 1, 1, 0, 0, 0)


def write(
  module: models.GaitNetwork,
  variables: Mapping[str, Any],
  metadata: Mapping[str, Any],
  path: storage.Place,
) -> None:
  """Writes a network; the whole file or nothing.

  Args:
    module: the network. A quantised one is written as it evaluates: in float32,
      on the grids of its quantisers.
    variables: its `{"params": ..., "batch_stats": ...}`.
    metadata: JSON that goes with it.
    path: of the file.

  Raises:
    errors.UserError: a module of the network needs to know the number of
      sequences or of frames; or the file cannot be written.
  """
  program = export_network(module, variables).serialize()
  text = json.dumps(metadata, indent=2, sort_keys=True, allow_nan=False) + "\n"
  content = io.BytesIO()
  with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
    for name, data in ((_METADATA, text.encode()), (_PROGRAM, bytes(program))):
      archive.writestr(zipfile.ZipInfo(name, _DATE), data)
  try:
    storage.write_bytes(path, content.getvalue())
  except OSError as e:
    raise errors.UserError(
      f"{path} cannot be written ({e.strerror or e}); make room, or give "
      "another file"
    ) from e


def read(path: storage.Place) -> tuple[export.Exported, dict[str, Any]]:
  """Reads a file of `write`.

  Args:
    path: of the file.

  Returns:
    The program and the metadata. `jax.jit(program.call)` takes silhouettes,
    uint8 `[n, s, 64, 44]` or, of a network of several channels,
    `[n, s, 64, 44, c]`, and lengths, int32 `[n]`, and gives the embeddings that
    a search compares, float32 `[n, p, d]`.

  Raises:
    errors.UserError: there is no such file, it is damaged, or this version of
      JAX does not run it.
  """
  try:
    content = storage.read_bytes(path)
  except OSError as e:
    raise errors.UserError(
      f"{path} cannot be read ({e.strerror or e}); give a file that "
      "--target=stablehlo has written"
    ) from e
  try:
    # Of both members the archive has checksums, which reading compares.
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
      metadata = json.loads(archive.read(_METADATA))
      program = archive.read(_PROGRAM)
    if not isinstance(metadata, dict):
      raise ValueError(f"{_METADATA} is no object")
  # What is damaged raises whatever the damaged part leads to.
  except Exception as e:
    raise errors.UserError(
      f"{path} is no program of --target=stablehlo, or damaged "
      f"({checkpoint.first_line(e)}); export the checkpoint again"
    ) from e
  try:
    return export.deserialize(bytearray(program)), metadata
  except Exception as e:
    raise errors.UserError(
      f"{path} cannot be run by JAX {jax.__version__} "
      f"({checkpoint.first_line(e)}); JAX reads programs of "
      "about half a year: export the checkpoint again"
    ) from e


def export_network(
  module: models.GaitNetwork, variables: Mapping[str, Any]
) -> export.Exported:
  """The program, see `read`, of a network and its variables.

  Raises:
    errors.UserError: a module of the network needs to know the number of
      sequences or of frames.
  """
  leaves, structure = jax.tree.flatten(jax.device_get(variables))

  def embed(
    leaves: Sequence[Any], silhouettes: jax.Array, lengths: jax.Array
  ) -> jax.Array:
    weights = jax.tree.unflatten(structure, leaves)
    out = module.apply(weights, inputs.scale(silhouettes), lengths)
    return out["retrieval"]

  # A search does without a classifier, whose arrays may be the largest.
  smallest = export.export(jax.jit(embed), platforms=PLATFORMS[:1])(
    leaves, *_inputs(module, 1, 1)
  )
  used = set(smallest.module_kept_var_idx)

  def program(silhouettes: jax.Array, lengths: jax.Array) -> jax.Array:
    # Without the barrier a compiler computes with constants beforehand, and
    # rounds otherwise than an evaluation does.
    weights = [
      lax.optimization_barrier(leaf) if i in used else jnp.zeros_like(leaf)
      for i, leaf in enumerate(leaves)
    ]
    return embed(weights, silhouettes, lengths)

  failing: list[nn.Module] = []

  def look(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
    try:
      return call(*args, **kwargs)
    except Exception:
      failing.append(context.module)  # the innermost comes first
      raise

  exporting = export.export(jax.jit(program), platforms=PLATFORMS)
  try:
    with nn.intercept_methods(look), _no_source_files():
      return exporting(*_inputs(module, *export.symbolic_shape("n, s")))
  # Some operations refuse a symbolic number by the last two.
  except (
    jax.errors.InconclusiveDimensionOperation,
    TypeError,
    ValueError,
  ) as e:
    where = failing[0] if failing else module
    name = "/".join(where.path) or "itself"
    raise errors.UserError(
      f"{type(module).__name__} cannot be exported for any number of frames: "
      f"its module {name} ({type(where).__name__}) has to know the number "
      f"({checkpoint.first_line(e)}); give another --target"
    ) from e


def _inputs(
  module: models.GaitNetwork, n: Any, s: Any
) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
  """What a program takes: `n` and `s` are numbers or symbolic ones."""
  c = module.in_channels
  shape = (n, s, *module.frame_size, *((c,) if c > 1 else ()))
  return (
    jax.ShapeDtypeStruct(shape, jnp.uint8),
    jax.ShapeDtypeStruct((n,), jnp.int32),
  )


@contextlib.contextmanager
def _no_source_files() -> Iterator[None]:
  """Programs made inside do not name the files of this machine."""
  limit = jax.config.jax_traceback_in_locations_limit
  jax.config.update("jax_traceback_in_locations_limit", 0)
  try:
    yield
  finally:
    jax.config.update("jax_traceback_in_locations_limit", limit)
