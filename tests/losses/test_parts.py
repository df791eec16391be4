"""How the parts of two networks are matched."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import losses
from gaitkd_jax.losses import parts

N, P, K, D = 4, 3, 6, 5


def arrays(*shape, seed=0):
  rng = np.random.default_rng(seed)
  return jnp.asarray(rng.uniform(-1, 1, shape), jnp.float32)


def test_overlap_matrix():
  for p in (1, 4, 15, 16):
    np.testing.assert_array_equal(losses.overlap_matrix(p, p), np.eye(p))
  for p, q in ((16, 15), (15, 16), (16, 4), (3, 7)):
    matrix = losses.overlap_matrix(p, q)
    assert matrix.shape == (p, q) and matrix.dtype == np.float32
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, rtol=1e-6)
  row = losses.overlap_matrix(16, 15)[7]
  np.testing.assert_allclose(row[6:8], [7 / 15, 8 / 15], rtol=1e-5)
  assert not row[:6].any() and not row[8:].any()
  np.testing.assert_allclose(
    losses.overlap_matrix(16, 4), np.repeat(np.eye(4), 4, axis=0), rtol=1e-6
  )
  np.testing.assert_allclose(
    losses.overlap_matrix(4, 16), np.repeat(np.eye(4), 4, axis=1) / 4, rtol=1e-6
  )


def test_overlap_matrix_of_declared_parts():
  pyramid = losses.strip_edges((4, 2, 1))
  assert pyramid[3:6] == [(0.75, 1.0), (0.0, 0.5), (0.5, 1.0)]
  matrix = losses.overlap_matrix(2, pyramid)
  # Half the body: two quarters, one half, and as much of the whole.
  np.testing.assert_allclose(
    matrix[0], np.array([0.25, 0.25, 0, 0, 0.5, 0, 0.5]) / 1.5, rtol=1e-6
  )
  np.testing.assert_allclose(
    losses.overlap_matrix([(0.1, 0.4)], [(0.0, 0.2), (0.2, 0.6)]),
    [[1 / 3, 2 / 3]],
    rtol=1e-6,
  )
  with pytest.raises(ValueError, match="student part 1"):
    losses.overlap_matrix([(0.0, 0.5), (0.5, 1.0)], [(0.0, 0.5)])
  with pytest.raises(ValueError, match="teacher parts need"):
    losses.overlap_matrix(2, [(0.5, 0.5)])


def test_mixed_probabilities_are_distributions():
  probabilities = jax.nn.softmax(4 * arrays(N, 15, K))
  mixed = losses.mix_parts(probabilities, losses.overlap_matrix(16, 15))
  assert mixed.shape == (N, 16, K)
  np.testing.assert_allclose(mixed.sum(-1), 1.0, rtol=1e-5)
  np.testing.assert_allclose(
    mixed[:, 7],
    7 / 15 * probabilities[:, 6] + 8 / 15 * probabilities[:, 7],
    rtol=1e-5,
  )
  with pytest.raises(ValueError, match=r"\(16, 14\).*\(4, 15, 6\)"):
    losses.mix_parts(probabilities, losses.overlap_matrix(16, 14))


@pytest.mark.parametrize("loss", [losses.decision_loss, losses.boundary_loss])
def test_unequal_shapes_name_both_sides(loss):
  with pytest.raises(ValueError, match=r"\(2, 4, 3\).*\(2, 5, 2\)"):
    loss(jnp.zeros([2, 4, 3]), jnp.zeros([2, 5, 2]))


def test_the_first_parts_of_both():
  student, teacher = arrays(N, 3, K), arrays(N, 5, K, seed=1)
  first, second = parts.common_parts(student, teacher, "logits")
  np.testing.assert_array_equal(first, student)
  np.testing.assert_array_equal(second, teacher[:, :3])
  wide = arrays(N, 5, D, seed=2)
  assert parts.common_parts(wide, student, "x", same_width=False)[0].shape == (
    (N, 3, D)
  )
  with pytest.raises(ValueError, match=r"student logits .*5, 5\).*3, 6\)"):
    parts.common_parts(wide, student, "logits")


def test_strips_of_a_pyramid():
  assert losses.strip_edges((1, 2)) == [(0.0, 1.0), (0.0, 0.5), (0.5, 1.0)]
  assert losses.strip_edges((16,))[3] == (3 / 16, 4 / 16)
