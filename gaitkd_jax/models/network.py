"""What every network is to the rest of the library."""

import abc
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import ClassVar
from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gaitkd_jax import quantize
from gaitkd_jax.models import checks
from gaitkd_jax.models import inputs
from gaitkd_jax.models import opengait_keys

# Height and width of the frames that the data pipeline makes.
FRAME_SIZE = (64, 44)


class ParameterGroup(NamedTuple):
  """How some parameters learn.

  Attributes:
    rate: multiple of the learning rate.
    decays: whether weight decay applies.
  """

  rate: float
  decays: bool


# From a parameter's path, such as ("neck", "bn", "scale"), to its group.
Grouping = Callable[[Sequence[str]], ParameterGroup]


class GaitNetwork(nn.Module, abc.ABC):
  """A network from frames to the embeddings of body parts.

  A network is a subclass and a line of `registry.MODELS`. Its fields are the
  keys of its config. It implements `bins`, `temporal`, `smoke_size` and
  `encode`; the other members describe a network that draws nothing at random,
  learns as one group and is unknown to OpenGait, and are overridden where that
  is not so. Nothing else in the library asks which network it has.

  Attributes:
    in_channels: channels `c` of a frame: 1 (silhouette), 2 (heat maps of limbs
      and joints) or 3 (both, the silhouette last).
    dtype: of the computation; parameters and embeddings are float32.
    quantization: in how many bits it computes; None: float.
    num_classes: identities `k` of the classifier. A field of the networks that
      can have one; 0 leaves it out.
    retrieval: the end point that a search compares. A field of the networks
      that can have a neck: "embedding" (in front of the neck, OpenGait's
      default) or "neck" (the unit-length feature behind it, OpenGait's
      `use_emb2`).
    config_checks: what the values of config keys must be.
    kinds: members of the family that differ in their layers, not in size only:
      the config keys that make one, by its name.
    float_parts: what of it is not quantised, beside what only training needs.
    expanded_modules: submodules that a table of costs lists by their own
      submodules.
    optimizer_groups: ways to let parameters learn unequally, by the name in
      `optim.groups`.
  """

  in_channels: int = 1
  dtype: jax.typing.DTypeLike = jnp.float32
  quantization: quantize.Settings | None = None

  # Without an annotation these are no fields: not every network has a choice.
  num_classes = 0
  retrieval = "embedding"
  float_parts = ""

  config_checks: ClassVar[Mapping[str, checks.Check]] = {
    "embedding_dim": checks.at_least(1),
    "in_channels": checks.at_least(1),
    "num_classes": checks.at_least(0, "0 (no classifier) or more"),
    "parts": checks.one_of(1, 2, 4, 8, 16),
    "remat": checks.boolean(),
    "retrieval": checks.one_of("embedding", "neck"),
  }
  kinds: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
  expanded_modules: ClassVar[tuple[str, ...]] = ()
  optimizer_groups: ClassVar[Mapping[str, Grouping]] = {}

  @property
  @abc.abstractmethod
  def bins(self) -> tuple[int, ...]:
    """How many strips of equal height each level of the parts has.

    (4, 2, 1) are seven parts: four quarters from the top, two halves, all.
    """

  @property
  def frame_size(self) -> tuple[int, int]:
    """Height and width of the frames that the network is made for."""
    return FRAME_SIZE

  @property
  @abc.abstractmethod
  def temporal(self) -> bool:
    """Whether the order of frames matters."""

  @property
  @abc.abstractmethod
  def smoke_size(self) -> Mapping[str, Any]:
    """Config keys that shrink this network to a trial of seconds on a CPU."""

  @property
  def rng_streams(self) -> tuple[str, ...]:
    """Names of the random streams that training draws from."""
    return ()

  @property
  def opengait_rules(self) -> opengait_keys.Rules:
    """Where OpenGait keeps every array; empty if it lacks the network."""
    return ()

  @property
  def opengait_unused(self) -> Mapping[str, np.ndarray]:
    """What OpenGait keeps of this network and never uses, by its key.

    It is left out on the way here, and has these values on the way there.
    """
    return {}

  @abc.abstractmethod
  def encode(
    self, frames: inputs.Frames, *, train: bool
  ) -> dict[str, jax.Array]:
    """Computes all end points but "retrieval"; the network itself.

    Args:
      frames: the input, see `inputs.Frames`.
      train: see `__call__`.

    Returns:
      End points by name, see `__call__`.
    """

  def __call__(
    self,
    silhouettes: jax.Array,
    lengths: jax.Array | None = None,
    train: bool = False,
  ) -> dict[str, jax.Array]:
    """Embeds sequences.

    Args:
      silhouettes: `[n, s, h, w]` or `[n, s, h, w, c]` in [0, 1]; see
        `inputs.read_frames` for the channels.
      lengths: int32 `[n]`, valid frames (at least 1) of each sequence; frames
        beyond never change a result. None: all are valid.
      train: whether normalisations use the statistics of this batch (apply
        with `mutable=["batch_stats"]`) and paths are dropped at random (apply
        with `rngs` of all `rng_streams`).

    Returns:
      End points by name. Every network has
        "embedding": float32 `[n, p, d]`, in front of the neck: for metric
          losses. `p` is the sum of `bins`.
        "retrieval": float32 `[n, p, d]`, what a search compares.
        "set": what is left after the pooling over time, `[n, ...]`.
      Those that classify also have
        "logits": float32 `[n, p, k]`; cosines, unless the network's docstring
          says otherwise.
      Those with a neck also have
        "neck": float32 `[n, p, d]`, the unit-length features behind it.
      The rest are feature maps `[n, s, h, w, c]` of the network's dtype, such
      as "stage1"; the network's docstring lists them.

    Raises:
      ValueError: `silhouettes` has a shape that does not fit the network.
    """
    frames = inputs.read_frames(
      silhouettes, lengths, self.in_channels, self.dtype
    )
    with quantize.attach(self.quantization):
      out = self.encode(frames, train=train)
    return out | {"retrieval": out[self.retrieval]}
