"""Changes that turn one config into another."""

from collections.abc import Callable

from ml_collections import ConfigDict

from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax.config import defaults


def smoke(c: ConfigDict) -> None:
  """Turns any config into a trial of three steps and a few seconds."""
  values = dict(frames=6, skip=2, min_frames=4, max_frames=6)
  for key in defaults.CLIP_KEYS[c.clip.kind]:
    c.clip[key] = values[key]
  c.batch.identities, c.batch.sequences = 2, 4
  c.train.steps, c.train.log_every, c.train.checkpoint_every = 3, 1, 2
  c.eval.batch_size = 8
  c.eval.max_frames = 12
  c.eval.report = False
  for model in defaults.networks_of(c):
    model.update(models.create_model(model).smoke_size)
  for t in c.teachers.values():
    t.checkpoint = defaults.RANDOM
  for source in (c.data, c.eval.data):
    if len(source):
      source.variant, source.partition = "tiny", "halves"


def without_teachers(c: ConfigDict) -> None:
  """Leaves the student alone: the baseline of a distillation."""
  c.teachers, c.terms = ConfigDict(), ConfigDict()


def with_variant(
  c: ConfigDict, variant: str, **variants: Callable[[ConfigDict], None]
) -> ConfigDict:
  """Applies the part of `--config=file.py:variant` after the colon.

  Args:
    c: the config.
    variant: empty for none.
    **variants: changes by name, besides "smoke".

  Returns:
    `c`.

  Raises:
    errors.UserError: unknown variant.
  """
  known = {"smoke": smoke} | variants
  if variant:
    if variant not in known:
      raise errors.UserError(
        f"the config has no variant {variant!r}; it has {', '.join(known)}"
      )
    known[variant](c)
  return c
