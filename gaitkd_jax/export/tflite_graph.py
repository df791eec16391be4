"""A graph of LiteRT that grows operation by operation.

The file is a FlatBuffer of the schema that LiteRT brings as Python code;
nothing of TensorFlow is needed to write or to read it.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import json
from typing import Any
from typing import NamedTuple

from ai_edge_litert import schema_py_generated as schema
import flatbuffers
import numpy as np

METADATA = "gaitkd_jax"  # the name of the buffer that holds JSON
_IDENTIFIER = b"TFL3"
_TYPES = {
  np.dtype(np.float32): schema.TensorType.FLOAT32,
  np.dtype(np.int32): schema.TensorType.INT32,
  np.dtype(np.int8): schema.TensorType.INT8,
  np.dtype(np.uint8): schema.TensorType.UINT8,
  np.dtype(np.bool_): schema.TensorType.BOOL,
}
# Of operations that have several, the one that has all that is used here.
_VERSIONS = {
  "ADD": 2,
  "CONCATENATION": 2,
  "CONV_2D": 3,
  "DEQUANTIZE": 5,
  "GATHER": 2,
  "LESS": 2,
  "MAXIMUM": 2,
  "MAX_POOL_2D": 2,
  "MINIMUM": 2,
  "PAD": 2,
  "QUANTIZE": 2,
  "REDUCE_MAX": 2,
  "STRIDED_SLICE": 2,
}


class Tensor(NamedTuple):
  """An array of the graph.

  Attributes:
    index: of the graph's.
    shape: -1 is the number of frames.
    dtype: of numpy.
    step: what one code stands for; None: it has no codes. Of a constant maybe
      one for every entry of an axis.
    zero: the code of 0.
  """

  index: int
  shape: tuple[int, ...]
  dtype: np.dtype
  step: Any = None
  zero: int = 0


class Graph:
  """Tensors, operations and constants."""

  def __init__(self) -> None:
    self._tensors: list[Any] = []
    self._operators: list[Any] = []
    self._codes: dict[str, int] = {}
    self._buffers = [schema.BufferT()]  # the first one is that of no constant

  def tensor(
    self,
    name: str,
    shape: Sequence[int],
    dtype: Any,
    step: Any = None,
    zero: int = 0,
  ) -> Tensor:
    """Adds an array that is an input or that a node makes."""
    dtype = np.dtype(dtype)
    made = Tensor(len(self._tensors), tuple(shape), dtype, step, zero)
    self._add(made, name, buffer=0)
    return made

  def constant(
    self,
    name: str,
    values: Any,
    dtype: Any,
    step: Any = None,
    axis: int = 0,
    zero: int = 0,
  ) -> Tensor:
    """Adds an array of the file.

    Args:
      name: of the array.
      values: its entries.
      dtype: of it.
      step: what one code stands for; one, or one for every entry of an axis.
      axis: this axis.
      zero: the code of 0.
    """
    array = np.ascontiguousarray(np.asarray(values, dtype))
    self._buffers.append(
      schema.BufferT(data=np.frombuffer(array.tobytes(), np.uint8))
    )
    made = Tensor(len(self._tensors), array.shape, array.dtype, step, zero)
    self._add(made, name, len(self._buffers) - 1, axis)
    return made

  def node(
    self,
    op: str,
    inputs: Sequence[Tensor | None],
    output: Tensor,
    options: str = "",
    **arguments: Any,
  ) -> Tensor:
    """Adds an operation.

    Args:
      op: of LiteRT's, such as "CONV_2D".
      inputs: arrays; None leaves one out.
      output: what it makes.
      options: the name of its table of options, such as "Conv2DOptions".
      **arguments: the fields of that.

    Returns:
      The output.
    """
    table, kind = None, schema.BuiltinOptions.NONE
    if options:
      table = getattr(schema, f"{options}T")()
      kind = getattr(schema.BuiltinOptions, options)
      for name, value in arguments.items():
        assert hasattr(table, name), name
        setattr(table, name, value)
    self._operators.append(
      schema.OperatorT(
        opcodeIndex=self._codes.setdefault(op, len(self._codes)),
        inputs=[-1 if x is None else x.index for x in inputs],
        outputs=[output.index],
        builtinOptionsType=kind,
        builtinOptions=table,
      )
    )
    return output

  def finish(
    self,
    name: str,
    inputs: Mapping[str, Tensor],
    outputs: Mapping[str, Tensor],
    metadata: Mapping[str, Any],
  ) -> bytes:
    """The file.

    Args:
      name: of the graph.
      inputs: by the names that the signature gives them.
      outputs: likewise.
      metadata: JSON.
    """
    text = json.dumps(metadata, sort_keys=True, allow_nan=False)
    self._buffers.append(
      schema.BufferT(data=np.frombuffer(text.encode(), np.uint8))
    )
    signature = schema.SignatureDefT(
      inputs=[schema.TensorMapT(k, x.index) for k, x in inputs.items()],
      outputs=[schema.TensorMapT(k, x.index) for k, x in outputs.items()],
      signatureKey="serving_default",
    )
    graph = schema.SubGraphT(
      tensors=self._tensors,
      inputs=[x.index for x in inputs.values()],
      outputs=[x.index for x in outputs.values()],
      operators=self._operators,
      name=name,
    )
    model = schema.ModelT(
      version=3,
      operatorCodes=[_operator_code(op) for op in self._codes],
      subgraphs=[graph],
      description="gaitkd_jax",
      buffers=self._buffers,
      metadata=[schema.MetadataT(METADATA, len(self._buffers) - 1)],
      signatureDefs=[signature],
    )
    builder = flatbuffers.Builder(2**20)
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())

  def _add(self, made: Tensor, name: str, buffer: int, axis: int = 0) -> None:
    quantization = None
    if made.step is not None:
      steps = np.atleast_1d(np.asarray(made.step, np.float32))
      quantization = schema.QuantizationParametersT(
        scale=steps,
        zeroPoint=np.full(steps.shape, made.zero, np.int64),
        quantizedDimension=axis,
      )
    signature = None
    if -1 in made.shape:  # the file itself is made for one frame
      signature = np.asarray(made.shape, np.int32)
    self._tensors.append(
      schema.TensorT(
        shape=np.asarray([max(x, 1) for x in made.shape], np.int32),
        type=_TYPES[made.dtype],
        buffer=buffer,
        name=f"{name}_{made.index}",
        quantization=quantization,
        shapeSignature=signature,
        hasRank=True,
      )
    )


def _operator_code(op: str) -> Any:
  code = getattr(schema.BuiltinOperator, op)
  limit = schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES
  return schema.OperatorCodeT(
    deprecatedBuiltinCode=min(code, limit),
    builtinCode=code,
    version=_VERSIONS.get(op, 1),
  )
