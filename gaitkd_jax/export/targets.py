"""What runtimes want of a graph; each has its own file.

A runtime only computes with bytes where quantisers stand as its compiler looks
for them, and no two look for the same.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Target(NamedTuple):
  """How a graph is written.

  Attributes:
    quantized: whether the network has to be.
    unsigned: whether codes are uint8, those of values with a sign shifted by
      128; else int8 without a shift. The codes of 8 bits behind a rectifier
      then have half as many steps, twice as wide.
    codes_travel: whether layers that only move values move the codes; else a
      quantiser is directly followed by its inverse.
    integer_products: whether linear layers are products of integers.
    identity_only: whether of a residual sum only the identity is quantised, and
      the main branch, a convolution, is left to be fused with the sum.
    channels_last: whether its convolutions have channels last, so that those
      are moved there for nothing.
  """

  quantized: bool = True
  unsigned: bool = True
  codes_travel: bool = True
  integer_products: bool = True
  identity_only: bool = False
  channels_last: bool = False


TARGETS: Mapping[str, Target] = {
  "float": Target(quantized=False),
  "ort": Target(channels_last=True),
  "openvino": Target(integer_products=False),
  "tensorrt": Target(
    unsigned=False,
    codes_travel=False,
    integer_products=False,
    identity_only=True,
  ),
}
