"""What every network does in evaluation, as the layers of a plan."""

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

from gaitkd_jax import models
from gaitkd_jax.export import builder
from gaitkd_jax.export.networks import gaitgl as gaitgl_plan
from gaitkd_jax.export.networks import gaitpart as gaitpart_plan
from gaitkd_jax.export.networks import residual
from gaitkd_jax.export.networks import sets
from gaitkd_jax.export.networks import skeletongaitpp as skeletongaitpp_plan
from gaitkd_jax.export.networks import swingait as swingait_plan
from gaitkd_jax.models import deepgaitv2
from gaitkd_jax.models import foundationgait
from gaitkd_jax.models import gaitbase
from gaitkd_jax.models import gaitbase_plain
from gaitkd_jax.models import gaitgl
from gaitkd_jax.models import gaitpart
from gaitkd_jax.models import gaitset
from gaitkd_jax.models import skeletongaitpp
from gaitkd_jax.models import swingait

# Adds the layers of a network (of its class), the last of which makes the
# embedding.
Planner = Callable[[Any, builder.Builder], None]

PLANNERS: Mapping[type[models.GaitNetwork], Planner] = {
  deepgaitv2.DeepGaitV2: residual.plan,
  foundationgait.FoundationGait: residual.foundationgait,
  gaitbase.GaitBase: residual.plan,
  gaitbase_plain.GaitBasePlain: sets.plain,
  gaitgl.GaitGL: gaitgl_plan.plan,
  gaitpart.GaitPart: gaitpart_plan.plan,
  gaitset.GaitSet: sets.gaitset,
  skeletongaitpp.SkeletonGaitPP: skeletongaitpp_plan.plan,
  swingait.SwinGait: swingait_plan.plan,
}
