"""What lies in shipped_teachers/ is restored, and recognises walkers."""

import dataclasses

import jax
import numpy as np
import pytest

from data_pipelines.walkers import sequence
from data_pipelines.walkers import spec
from gaitkd_jax import checkpoint
from gaitkd_jax import distill
from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax.models import inputs
from tests.helpers import configs
from tests.helpers import paths

FOLDER = paths.ROOT / "shipped_teachers"
TEACHERS = {"deepgaitv2": "walkers", "skeletongaitpp": "walkers_maps"}
# Clips as long as in training.
SIZE = dataclasses.replace(spec.get_size("small"), frames=10)


@pytest.fixture(scope="module")
def restored():
  """The teachers of a config that has both, and their variables."""
  _, config = configs.load("distill", "gaitkd_two_teachers")
  teachers = distill.create_teachers(config.teachers)
  mesh = sharding.create_mesh(1)
  return config, teachers, distill.restore_teachers(config, teachers, mesh)


def test_every_folder_is_a_teacher_of_a_config(restored):
  config, teachers, _ = restored
  folders = {p.name for p in FOLDER.iterdir() if p.is_dir()}
  assert folders == set(TEACHERS.values())
  for name, folder in TEACHERS.items():
    assert config.teachers[name].checkpoint == str(FOLDER / folder)
    stored = checkpoint.restored_meta(FOLDER / folder)["model"]
    assert models.create_model(stored) == teachers[name].module


def clips(in_channels, condition, view):
  """A clip of every test subject, as a batch."""
  subjects = SIZE.split("test")
  render = sequence.render_sequence
  batch = {
    "silhouettes": np.stack(
      [render(SIZE, s, condition, view) for s in subjects]
    )
  }
  if in_channels > 1:
    render = sequence.render_heatmaps
    maps = np.stack([render(SIZE, s, condition, view) for s in subjects])
    batch["heatmaps"] = np.moveaxis(maps, 2, -1)
  return {key: values[:, :, :, 10:-10] for key, values in batch.items()}


def rank1(module, variables):
  """Of probes with a bag, and a gallery without, from two directions."""

  @jax.jit
  def embed(batch):
    pixels = inputs.network_input(batch, module.in_channels)
    return module.apply(variables, pixels)["retrieval"]

  probe = embed(clips(module.in_channels, "bg-01", "108"))
  gallery = embed(clips(module.in_channels, "nm-01", "090"))
  gaps = np.asarray(probe)[:, None] - np.asarray(gallery)[None]
  nearest = np.linalg.norm(gaps, axis=-1).mean(-1).argmin(1)
  return (nearest == np.arange(len(nearest))).mean()


@pytest.mark.parametrize("name", TEACHERS)
def test_a_teacher_knows_most_of_16_walkers(name, restored):
  _, teachers, variables = restored
  # Untrained they know a fifth at most.
  assert rank1(teachers[name].module, variables[name]) >= 0.75
