"""What every network does in evaluation, as the layers of a plan."""

from collections.abc import Callable
from collections.abc import Mapping

from gaitkd_jax import models
from gaitkd_jax.export import builder
from gaitkd_jax.export.networks import residual
from gaitkd_jax.export.networks import swingait as swin_layers
from gaitkd_jax.models import deepgaitv2
from gaitkd_jax.models import gaitbase
from gaitkd_jax.models import swingait

# Adds the layers of a network, the last of which makes the embedding.
Planner = Callable[[models.GaitNetwork, builder.Builder], None]

PLANNERS: Mapping[type[models.GaitNetwork], Planner] = {
  deepgaitv2.DeepGaitV2: residual.plan,
  gaitbase.GaitBase: residual.plan,
  swingait.SwinGait: swin_layers.plan,
}
