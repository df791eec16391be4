"""Short videos of synthetic walkers with known truth."""

from gaitkd_jax.identify.scenes.catalogue import DEMO
from gaitkd_jax.identify.scenes.catalogue import DEMO_ENROLMENT
from gaitkd_jax.identify.scenes.catalogue import ENROLLED
from gaitkd_jax.identify.scenes.catalogue import SCENES
from gaitkd_jax.identify.scenes.catalogue import STRANGERS
from gaitkd_jax.identify.scenes.catalogue import enrolment
from gaitkd_jax.identify.scenes.processes import writing
from gaitkd_jax.identify.scenes.rendering import Seen
from gaitkd_jax.identify.scenes.rendering import Truth
from gaitkd_jax.identify.scenes.rendering import render
from gaitkd_jax.identify.scenes.spec import FRAMES_PER_SECOND
from gaitkd_jax.identify.scenes.spec import Person
from gaitkd_jax.identify.scenes.spec import Scene
from gaitkd_jax.identify.scenes.video_files import write_video

__all__ = [
  "DEMO",
  "DEMO_ENROLMENT",
  "ENROLLED",
  "FRAMES_PER_SECOND",
  "SCENES",
  "STRANGERS",
  "Person",
  "Scene",
  "Seen",
  "Truth",
  "enrolment",
  "render",
  "write_video",
  "writing",
]
