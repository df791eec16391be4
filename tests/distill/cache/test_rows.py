"""From a teacher's outputs to rows of a store, and back."""

import jax
import numpy as np
import pytest

from gaitkd_jax import checkpoint
from gaitkd_jax.distill import cache as cache_lib


def rows_of(logits, **options):
  outputs = {"embedding": logits[..., :4], "logits": logits}
  rows = cache_lib.encode(outputs, **options)
  return rows, cache_lib.decode(rows, logits.shape[-1])


def test_largest_logits_keep_their_probabilities():
  rng = np.random.default_rng(0)
  logits = rng.uniform(-1, 1, (3, 5, 40)).astype(np.float32)
  scale, temperature = 20.0, 2.0
  options = dict(scale=scale, temperature=temperature)
  rows, found = rows_of(logits, dtype="float32", largest=6, **options)
  assert rows["indices"].dtype == np.uint16
  assert rows["values"].shape == (3, 5, 6) and rows["rest"].shape == (3, 5)
  p, q = (
    np.array(jax.nn.softmax(scale / temperature * x))
    for x in (logits, found["logits"])
  )
  top = np.argsort(-logits, axis=-1)[..., :6]
  kept, expected = (np.take_along_axis(x, top, axis=-1) for x in (q, p))
  np.testing.assert_allclose(kept, expected, rtol=1e-5)
  np.testing.assert_allclose(
    q.sum(-1) - kept.sum(-1), 1 - expected.sum(-1), 1e-4
  )
  np.put_along_axis(q, top, np.nan, axis=-1)
  assert np.all(np.nanmax(q, -1) - np.nanmin(q, -1) == 0)


def test_the_error_of_the_largest_logits_falls_with_their_number():
  rng = np.random.default_rng(1)
  logits = rng.normal(0, 0.3, (4, 3, 50)).astype(np.float32)
  before = None
  for largest in (1, 5, 20, 49, 0):
    _, found = rows_of(logits, dtype="float32", largest=largest)
    wrong = cache_lib.error(logits, found["logits"], 16.0, 4.0)
    p, q = (
      np.asarray(jax.nn.softmax(4.0 * x), np.float64)
      for x in (logits, found["logits"])
    )
    np.testing.assert_allclose(
      wrong["divergence"],
      np.sum(p * np.log(p / q), -1).mean(-1),
      rtol=1e-3,
      atol=1e-6,
    )
    np.testing.assert_allclose(
      wrong["absolute"], np.abs(p - q).mean((1, 2)), rtol=1e-3, atol=1e-7
    )
    now = float(wrong["divergence"].mean())
    assert before is None or now <= before
    before = now
  assert before == 0


def test_a_teacher_without_classifier_has_embeddings_only():
  rows = cache_lib.encode({"embedding": np.ones((2, 3, 4))}, largest=5)
  assert rows.keys() == {"embedding"}
  assert cache_lib.decode(rows).keys() == {"embedding"}


def test_many_classes_are_numbered_in_four_bytes():
  logits = np.zeros((1, 1, 70_000), np.float32)
  logits[..., 69_999] = 1
  rows, found = rows_of(logits, largest=2)
  assert rows["indices"].dtype == np.int32
  assert found["logits"].argmax() == 69_999


def test_digests_see_names_shapes_and_bytes():
  x = np.arange(6, dtype=np.float32)
  trees = [
    {"a": x},
    {"b": x},
    {"a": x.reshape(2, 3)},
    {"a": x + 1},
    {"a": x.view(np.int32)},
    {"a": x[:3], "b": x[3:]},
  ]
  assert len({checkpoint.digest(tree) for tree in trees}) == len(trees)
  assert checkpoint.digest({"a": jax.numpy.asarray(x)}) == (
    checkpoint.digest(trees[0])
  )


@pytest.mark.parametrize("width", [8, 11])
def test_sides_of_the_neck_are_kept_in_bits(width):
  rng = np.random.default_rng(8)
  embedding, neck = rng.normal(size=(2, 3, 4, width)).astype("f")
  neck[0, 0, :2] = 0.0, -0.0  # on the negative side
  rows = cache_lib.encode({"embedding": embedding, "neck": neck})
  assert rows["sides"].dtype == np.uint8
  assert rows["sides"].shape == (3, 4, -(-width // 8))
  found = cache_lib.decode(rows)["neck"]
  np.testing.assert_array_equal(found, np.where(neck > 0, 1.0, -1.0))
