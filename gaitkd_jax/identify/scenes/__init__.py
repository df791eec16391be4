"""Short videos of synthetic walkers with known truth."""

from gaitkd_jax.identify.scenes.rendering import render
from gaitkd_jax.identify.scenes.rendering import Seen
from gaitkd_jax.identify.scenes.rendering import Truth
from gaitkd_jax.identify.scenes.spec import FRAMES_PER_SECOND
from gaitkd_jax.identify.scenes.spec import Person
from gaitkd_jax.identify.scenes.spec import Scene
