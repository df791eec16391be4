"""From records to clips: damaged files, heat maps, clips of unequal length."""

import numpy as np
import pytest

from data_pipelines import pipeline
from data_pipelines import store as store_lib
from gaitkd_jax import errors
from tests.helpers import batches as batches_lib
from tests.helpers import small_store


@pytest.mark.parametrize("damage", ["short", "bits", "gone"])
def test_files_damaged_after_they_were_indexed(store, tmp_path, damage):
  file = tmp_path / "a"
  small_store.write(store, file)
  opened = store_lib.SequenceStore.from_files([file], cache_gib=0)
  if damage == "short":
    file.write_bytes(file.read_bytes()[:2000])
  elif damage == "bits":
    data = bytearray(file.read_bytes())
    for i in range(0, len(data), 97):
      data[i] ^= 255
    file.write_bytes(data)
  else:
    file.unlink()
  with pytest.raises(errors.UserError, match="cannot be read .*delete") as e:
    for _ in range(3):
      batches_lib.take(batches_lib.train(opened), 3)
  assert "\n" not in str(e.value)


@pytest.mark.parametrize("augment", [pipeline.Augment(), batches_lib.AUGMENT])
def test_heat_maps_share_frames_and_geometry(augment):
  sequences, *keys = small_store.columns()
  heatmaps = [np.repeat(s[:, None], 2, axis=1) for s in sequences]
  for planes in heatmaps:
    planes[:, 1] //= 2
  both = store_lib.SequenceStore.from_arrays(sequences, *keys, heatmaps)
  plain = store_lib.SequenceStore.from_arrays(sequences, *keys)
  pairs = zip(
    batches_lib.take(batches_lib.train(both, augment=augment), 3),
    batches_lib.take(batches_lib.train(plain, augment=augment), 3),
    strict=True,
  )
  for batch, expected in pairs:
    planes = batch.pop("heatmaps")
    batches_lib.assert_equal([batch], [expected])
    assert planes.shape == (8, 6, 64, 44, 2) and planes.dtype == np.uint8
    np.testing.assert_array_equal(planes[..., 0], batch["silhouettes"])
    half = batch["silhouettes"] / 2
    np.testing.assert_allclose(planes[..., 1], half, atol=1)
  batches = pipeline.eval_batches(both, batch_size=5)
  for batch in batches:
    np.testing.assert_array_equal(
      batch["heatmaps"][..., 0], batch["silhouettes"]
    )


@pytest.mark.parametrize("order", ["ordered", "unordered"])
def test_unequal_clips_are_augmented_one_by_one(store, order):
  clip = pipeline.Clip(f"unfixed_{order}", skip=2, min_frames=2, max_frames=9)
  flip = pipeline.Augment(flip=0.5)
  pairs = zip(
    batches_lib.take(batches_lib.train(store, clip=clip, augment=flip), 4),
    batches_lib.take(
      batches_lib.train(store, clip=clip, augment=pipeline.Augment()), 4
    ),
    strict=True,
  )
  flipped = []
  for batch, plain in pairs:
    assert batch["lengths"].dtype == np.int32
    np.testing.assert_array_equal(batch["lengths"], plain["lengths"])
    for one, other, length in zip(
      batch["silhouettes"], plain["silhouettes"], plain["lengths"], strict=True
    ):
      assert one.shape == (9, 64, 44) and not one[length:].any()
      assert all(frame.any() for frame in one[:length])
      mirrored = np.array_equal(one, other[:, :, ::-1])
      assert mirrored or np.array_equal(one, other)
      flipped.append(mirrored)
  assert 0.2 < np.mean(flipped) < 0.8
