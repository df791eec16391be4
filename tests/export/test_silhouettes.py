"""Silhouettes for check, calibration and threshold."""

import numpy as np
import pytest

from data_pipelines.walkers import sequence
from data_pipelines.walkers import spec
from gaitkd_jax import errors
from gaitkd_jax.export import silhouettes
from tests.helpers import configs
from tests.helpers import trees


def test_walkers_are_strangers_of_every_size():
  found = silhouettes.walkers(1, many=True)
  assert len(found.clips) == 48 and len(set(found.subjects)) == 12
  assert {x.shape for x in found.clips} == {(40, 64, 44)}
  assert all(x.dtype == np.uint8 and x.max() == 255 for x in found.clips)
  trained = {who for size in spec.SIZES.values() for who in size.split("train")}
  assert not trained & set(found.subjects)


def test_calibration_sees_people_who_trained():
  batches = list(silhouettes.walkers_batches(1))
  assert len(batches) == silhouettes.BATCHES
  shape = (silhouettes.BATCH_SIZE, 30, 64, 44)
  assert {x["silhouettes"].shape for x in batches} == {shape}
  last = silhouettes.BATCHES * silhouettes.BATCH_SIZE
  assert f"{last:03d}" in spec.SIZES["small"].split("train")


@pytest.mark.parametrize("channels", [2, 3])
def test_heat_maps_come_first(channels):
  found = silhouettes.walkers(channels, many=False)
  assert {x.shape for x in found.clips} == {(65, 64, 44, channels)}
  (batch,) = [next(silhouettes.walkers_batches(channels))]
  assert batch["heatmaps"].shape == (8, 30, 64, 44, 2)
  alone = silhouettes.walkers(1, many=False).clips[0]
  if channels == 3:
    np.testing.assert_array_equal(found.clips[0][..., 2], alone)
    assert batch["silhouettes"].max() == 255
  assert (found.clips[0][..., 0] > 0).any()


def test_three_lengths():
  walks = tuple(np.full((s, 64, 44), s, np.uint8) for s in (9, 90, 20, 65))
  found = silhouettes.Sequences("x", walks, ("a", "b", "c", "d"))
  assert [len(x) for x in found.three_lengths()] == [16, 32, 65]
  assert found.three_lengths()[-1][0, 0, 0] == 90
  assert len(found.one_clip()) == 30
  found = silhouettes.Sequences("x", walks[:1], ("a",))
  assert [len(x) for x in found.three_lengths()] == [2, 4, 9]
  assert len(found.one_clip()) == 9


def test_sequences_of_a_config(prepared):
  config = configs.smoke_config(prepared, "walkers_baseline")
  found = silhouettes.tested(config, 1)
  assert found.data == "walkers:tiny"
  test = spec.SIZES["tiny"].split("test")
  assert sorted(set(found.subjects)) == sorted(test)
  assert len(found.clips) == 4 * len(test)
  expected = sequence.render_sequence("tiny", test[0], "bg-01", "000")
  expected = expected[: config.eval.max_frames, :, 10:-10]
  assert any(np.array_equal(x, expected) for x in found.clips)
  with pytest.raises(errors.UserError, match="takes heat maps"):
    silhouettes.tested(config, 3)


def test_sequences_of_a_folder(tmp_path):
  trees.write(tmp_path, "casiab", subjects=2, frames=3)
  batches = list(silhouettes.folder_batches(tmp_path, ""))
  assert 1 < len(batches) <= silhouettes.BATCHES * silhouettes.BATCH_SIZE
  assert {x["silhouettes"].shape[2:] for x in batches} == {(64, 44)}
  with pytest.raises(errors.UserError, match="--calibrate"):
    list(silhouettes.folder_batches(tmp_path / "nothing", ""))
