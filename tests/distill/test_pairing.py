"""Outputs of a student and a teacher that are made comparable."""

import jax
import jax.numpy as jnp
import numpy as np

from gaitkd_jax import losses
from gaitkd_jax.distill import class_mapping
from gaitkd_jax.distill import pairing
from gaitkd_jax.models import heads
from tests.helpers import distillation as helpers

SHAPES = {"embedding": (1, 4, 4), "logits": (1, 4, 5), "map": (1, 2, 8, 6, 3)}
OTHER = {"embedding": (1, 2, 6), "logits": (1, 2, 3), "map": (1, 2, 8, 6, 7)}


def test_equal_networks_are_left_as_they_are():
  rng = np.random.default_rng(0)
  student, teacher = helpers.outputs(rng), helpers.outputs(rng)
  paired = pairing.Pairing(SHAPES, SHAPES)
  pair = paired(student, teacher)
  assert paired.same_logits and pair.common_parts == 4
  for key in student:
    assert pair.student[key] is student[key]
    assert pair.matched(pair.teacher, key) is teacher[key]


def test_logits_of_the_common_classes_at_the_students_scale():
  rng = np.random.default_rng(1)
  student, teacher = helpers.outputs(rng, k=5), helpers.outputs(rng, k=3)
  classes = np.array([4, 0]), np.array([1, 2])
  paired = pairing.Pairing(SHAPES, OTHER, classes=classes, factor=0.5)
  pair = paired(student, teacher)
  np.testing.assert_array_equal(
    pair.student["logits"], student["logits"][..., np.array([4, 0])]
  )
  np.testing.assert_array_equal(
    pair.teacher["logits"], 0.5 * teacher["logits"][..., np.array([1, 2])]
  )
  assert not paired.same_logits
  assert not pairing.Pairing(SHAPES, SHAPES, factor=0.5).same_logits


def test_logits_without_a_counterpart_are_not_compared():
  rng = np.random.default_rng(2)
  student, teacher = helpers.outputs(rng), helpers.outputs(rng)
  strangers = pairing.Pairing(SHAPES, OTHER, classes=class_mapping.NO_CLASSES)
  assert "logits" not in strangers(student, teacher).teacher
  del student["logits"]
  pair = pairing.Pairing(SHAPES, SHAPES)(student, teacher)
  assert "logits" not in pair.teacher and "logits" in teacher


def test_parts_are_mixed_by_height():
  rng = np.random.default_rng(3)
  student, teacher = helpers.outputs(rng, p=4), helpers.outputs(rng, p=2)
  teacher["map"] = jnp.ones((6, 2, 8, 6, 7))
  overlap = losses.overlap_matrix(4, 2)
  pair = pairing.Pairing(SHAPES, OTHER, overlap=overlap)(student, teacher)
  assert pair.common_parts == 4
  for key in ("embedding", "logits"):
    np.testing.assert_allclose(
      pair.matched(pair.teacher, key),
      np.repeat(teacher[key], 2, axis=1),
      rtol=1e-6,
    )
  assert pair.matched(pair.teacher, "map") is teacher["map"]
  # Without an overlap the first parts are compared.
  assert pairing.Pair(student, teacher).common_parts == 2


def test_shapes_of_a_pair():
  classes = np.array([4, 0]), np.array([1, 2])
  paired = pairing.Pairing(
    SHAPES, OTHER, classes=classes, connector=heads.Connector(6)
  )
  pair = paired.abstract(clips=3)
  found = [
    {key: x.shape for key, x in outputs.items()}
    for outputs in (pair.student, pair.teacher)
  ]
  assert found == [
    {"embedding": (3, 4, 6), "logits": (3, 4, 2), "map": (3, 2, 8, 6, 3)},
    {"embedding": (3, 2, 6), "logits": (3, 2, 2), "map": (3, 2, 8, 6, 7)},
  ]


def test_a_connector_brings_the_embedding_to_the_teachers_width():
  rng = np.random.default_rng(4)
  student = helpers.outputs(rng)
  paired = pairing.Pairing(SHAPES, OTHER, connector=heads.Connector(6))
  variables = paired.init_connector(jax.random.key(0))
  connected, stats = paired.connect(student, variables)
  assert connected["embedding"].shape == (6, 4, 6)
  assert connected["logits"] is student["logits"]
  before = jax.tree.leaves(variables["batch_stats"])
  changes = zip(before, jax.tree.leaves(stats), strict=True)
  assert all(np.abs(a - b).max() > 0 for a, b in changes)
