"""Embedding the test split: whose sequences, in which order."""

import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax.evaluation import embed
from gaitkd_jax.evaluation import store as store_lib
from gaitkd_jax.evaluation import tested
from gaitkd_jax.models import inputs
from tests.helpers import configs
from tests.helpers import untrained


@pytest.fixture(scope="module")
def config(prepared, folder):
  return untrained.config(prepared, folder)


@pytest.fixture(scope="module")
def embedder(config):
  module = models.create_model(config.model)
  return embed.Embedder(config, module, sharding.create_mesh())


def test_a_checkpoint_may_be_a_step_of_the_workdir(
  config, tmp_path, monkeypatch
):
  (tmp_path / "checkpoints" / "3").mkdir(parents=True)
  module = models.create_model(config.model)
  monkeypatch.setattr(
    tested.restoring, "restore_network", lambda path, *_: (module, path)
  )
  found = {}
  for name in ("", "3", "4", "/elsewhere"):
    changed = config.copy_and_resolve_references()
    changed.eval.checkpoint = name
    _, path, named = tested.restore(changed, tmp_path, sharding.create_mesh())
    assert path == named
    found[name] = path
  assert found == {
    "": str(tmp_path),
    "3": str(tmp_path / "checkpoints" / "3"),
    "4": "4",
    "/elsewhere": "/elsewhere",
  }


def test_strips_are_frames_of_the_sequence(embedder):
  whole = embedder.strip(3, 10_000)
  assert whole.dtype == np.uint8 and whole.shape[1:] == (64, 44)
  strip = embedder.strip(3, 5)
  places = np.linspace(0, len(whole) - 1, 5).round().astype(int)
  np.testing.assert_array_equal(strip, whole[places])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["walkers_baseline", "walkers_teacher_maps"])
def test_clips_are_the_middle_of_the_sequence(prepared, name):
  config = configs.smoke_config(prepared, name)
  module = models.create_model(config.model)
  embedder = embed.Embedder(config, module, sharding.create_mesh())
  whole = embedder.strip(3, 10_000)
  length = len(whole)
  clip = embedder.clip(3, 5)
  first = (length - 5) // 2
  np.testing.assert_array_equal(clip["silhouettes"][0], whole[first:][:5])
  assert clip["lengths"] == [5] and clip["lengths"].dtype == np.int32
  longer = embedder.clip(3, length + 2)
  assert longer["lengths"] == [length]
  np.testing.assert_array_equal(longer["silhouettes"][0, :length], whole)
  assert not longer["silhouettes"][0, length:].any()
  # What a network takes is made of it as of any batch.
  channels = module.in_channels
  pixels = inputs.network_input(clip, channels)
  assert pixels.shape == (1, 5, 64, 44, 3)[: 5 if channels > 1 else 4]
  if channels > 1:
    silhouettes = np.asarray(pixels)[..., -1]
    assert clip["heatmaps"].dtype == np.uint8
    limbs = np.asarray(pixels)[..., 0]
    # Limbs lie on the body.
    assert np.mean(silhouettes[limbs > 0.5]) > 2 * np.mean(silhouettes)
    np.testing.assert_allclose(255 * silhouettes, clip["silhouettes"])


def test_a_store_says_what_made_it(config, folder):
  path = embed.embed_checkpoint(config, folder / "stored")
  store = store_lib.EmbeddingStore.open(path)
  assert path == folder / "stored" / "embeddings" / "4"
  assert store.metadata["protocol"] == "casiab"
  assert store.metadata["options"] == {}
  assert store.metadata["step"] == 4 and store.metadata["data"] == "walkers"
  assert store.metadata["checkpoint"] == config.eval.checkpoint


def test_labels_and_roles_of_some_subjects(config, embedder, tmp_path):
  everybody = embedder.labels()
  some = embedder.labels(2)
  first, *_, last = np.unique(everybody.subjects)
  assert set(some.subjects) == {first, last}
  assert set(some.names) < set(everybody.names)
  assert embedder.roles() == {}
  table = tmp_path / "lists.csv"
  middle = everybody.names[len(everybody) // 2]
  table.write_text(f"name,role\n{some.names[0]},probe\n{middle},gallery\n")
  lists = {"eval.protocol": "lists", "eval.lists": str(table)}
  by_name = embed.Embedder(
    untrained.changed(config, **lists),
    models.create_model(config.model),
    sharding.create_mesh(),
  )
  probes = [some.names[0]]
  assert by_name.roles() == {"probes": probes, "gallery": [middle]}
  assert by_name.roles(2) == {"probes": probes, "gallery": []}


@pytest.mark.parametrize(
  "key, value, words",
  [
    ("eval.protocol", "casia", "eval.protocol is 'casia'; give one of casiab"),
    ("eval.metric", "cosin", "config.eval.metric is 'cosin'; give one of eucl"),
  ],
)
def test_unknown_names_are_found_before_the_work(
  config, tmp_path, key, value, words
):
  wrong = untrained.changed(config, **{key: value})
  with pytest.raises(errors.UserError, match=words):
    embed.protocol_of(wrong)
  with pytest.raises(errors.UserError, match=words):
    embed.embed_checkpoint(wrong, tmp_path / "run")
  assert not list(tmp_path.iterdir())
