"""What is done of embedding a split survives the end of the program."""

import numpy as np
import pytest

from data_pipelines import datasets
from data_pipelines import pipeline
from data_pipelines import store as store_lib
from gaitkd_jax import errors
from gaitkd_jax.evaluation import embed
from gaitkd_jax.evaluation import embedding
from gaitkd_jax.evaluation import partial
from gaitkd_jax.hosts import stopping
from tests.helpers import configs


def batch(first, size=3):
  index = np.arange(first, first + size)
  return index, np.full((size, 2, 4), first, np.float32)


def whole(found):
  return [(i.tolist(), e.tolist()) for i, e in found.pieces()]


def test_what_was_kept_is_found_again(tmp_path):
  folder = tmp_path / "x"
  one = partial.Partial(folder, {"digest": "a"})
  one.add(*batch(0))
  one.add(*batch(3, 2))
  one.keep()
  one.add(*batch(5))  # of these nothing is written
  two = partial.Partial(folder, {"digest": "a"})
  assert (one.done, two.done) == (3, 2)
  ((index, embedding),) = two.pieces()
  assert index.tolist() == [0, 1, 2, 3, 4]
  assert embedding.dtype == np.float32 and embedding[:, 0, 0].tolist() == [
    *(0, 0, 0),
    *(3, 3),
  ]
  two.add(*batch(5))
  two.keep()
  two.keep()
  three = partial.Partial(folder, {"digest": "a"})
  assert three.done == 3 and len(three.pieces()) == 2
  three.discard()
  assert not folder.exists()


def test_what_is_of_another_network_is_not_used(tmp_path):
  one = partial.Partial(tmp_path / "x", {"digest": "a"})
  one.add(*batch(0))
  one.keep()
  other = partial.Partial(tmp_path / "x", {"digest": "b"})
  assert other.done == 0 and not other.pieces()
  assert partial.Partial(tmp_path / "x", {"digest": "a"}).done == 0


def test_a_piece_that_is_missing_ends_what_is_used(tmp_path):
  one = partial.Partial(tmp_path / "x", {})
  for first in (0, 3, 6):
    one.add(*batch(first))
    one.keep()
  (tmp_path / "x" / "1-2.npz").unlink()
  (tmp_path / "x" / "3-4.tmp").write_bytes(b"half")
  again = partial.Partial(tmp_path / "x", {})
  assert again.done == 1
  again.add(*batch(3))
  again.add(*batch(6))
  again.keep()  # takes the place of what was behind the gap
  assert partial.Partial(tmp_path / "x", {}).done == 3


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
  (tmp_path / "file").touch()
  with pytest.raises(errors.UserError, match="file/x cannot be written"):
    partial.Partial(tmp_path / "file" / "x", {})


@pytest.fixture(scope="module")
def split(prepared):
  config = configs.smoke_config(prepared)
  builder = datasets.prepare(config.data)
  return store_lib.SequenceStore.from_builder(builder, "test")


@pytest.mark.parametrize("start", [0, 1, 2, 3, 5, 99])
def test_batches_from_a_later_one_on(split, start):
  buckets = int(np.median(split.lengths)), int(split.lengths.max())
  options = dict(batch_size=8, buckets=buckets, rows=np.arange(0, 70, 2))
  every = list(pipeline.eval_batches(split, **options))
  later = list(pipeline.eval_batches(split, start=start, **options))
  assert len(every) > 3 and len(later) == max(len(every) - start, 0)
  for a, b in zip(every[start:], later, strict=True):
    for key, value in a.items():
      np.testing.assert_array_equal(value, b[key])


def test_a_stopped_embedding_goes_on(tmp_path, monkeypatch):
  """Every batch is embedded once, and the result is the same."""
  rng = np.random.default_rng(0)
  found = rng.normal(size=(10, 2, 4)).astype(np.float32)
  batches = [
    {"silhouettes": np.zeros((2, 1)), "index": np.arange(i, i + 2)}
    for i in range(0, 10, 2)
  ]
  seen = []

  def step(variables, one):
    seen.append(int(one["index"][0]))
    return found[one["index"]], one["index"], np.ones(2, bool)

  monkeypatch.setattr(embed.sharding, "put_batch", lambda one, mesh: one)
  asked = iter([False, False, False, True])
  monkeypatch.setattr(stopping, "reached", lambda: next(asked, False))
  done = partial.Partial(tmp_path / "x", {})
  with pytest.raises(errors.Stopped, match="after 6 of 10 sequences") as e:
    embedding.embed(step, None, batches, 10, None, None, done)
  assert e.value.saved and seen == [0, 2, 4]
  done = partial.Partial(tmp_path / "x", {})
  result = embedding.embed(
    step, None, batches[done.done :], 10, None, None, done
  )
  assert seen == [0, 2, 4, 6, 8]
  np.testing.assert_array_equal(result, found)
  # Without such a place nothing is kept, but it stops as well.
  asked = iter([True])
  with pytest.raises(errors.Stopped) as e:
    embedding.embed(step, None, batches, 10, None)
  assert not e.value.saved
