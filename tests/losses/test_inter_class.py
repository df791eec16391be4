"""Inter-class distance calibration against its definition."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import losses
from gaitkd_jax import sharding
from tests.helpers import distillation
from tests.helpers import oracles

N, P, D = 8, 3, 5
LABELS = np.array([4, 0, 4, 1, 1, 0, 4, 7], np.int32)
VARIANTS = ("distance", "softmax")
# The rows of one person in another order.
WITHIN_A_PERSON = [6, 1, 0, 3, 4, 5, 2, 7]


def embeddings(width=D, seed=0):
  """Clips of which one is an outlier, so that Huber's line is reached."""
  x = np.random.default_rng(seed).normal(size=(N, P, width))
  x[seed] *= 6.0
  return np.float32(x)


def by_loops(student, teacher, labels, variant, temperature=0.1):
  """The definition in double precision, one pair after the other."""
  total = 0.0
  clips = range(len(labels))
  for part in range(student.shape[1]):
    relative = []
    for x in (student, teacher):
      d = {
        (i, j): math.dist(x[i, part], x[j, part])
        for i in clips
        for j in clips
        if labels[i] != labels[j]
      }
      mean = sum(d.values()) / len(d)
      relative.append({pair: value / mean for pair, value in d.items()})
    s, t = relative
    if variant == "distance":
      total += sum(float(oracles.huber(s[ij] - t[ij])) for ij in s) / len(s)
      continue
    rows = sorted({i for i, _ in s})
    for i in rows:
      p_s, p_t = (
        oracles.softmax([-d[i, j] / temperature for j in clips if (i, j) in d])
        for d in (s, t)
      )
      total += sum(p_t * np.log(p_t / p_s)) / len(rows)
  return total / student.shape[1]


def value_and_grad(variant, **shardings):
  return jax.jit(
    jax.value_and_grad(
      lambda s, t, y: losses.idc_loss(s, t, y, variant, temperature=0.3)
    ),
    **shardings,
  )


@pytest.mark.parametrize("variant", VARIANTS)
def test_value_and_gradient_are_those_of_the_definition(variant):
  # Other widths and parts, too.
  student, teacher = embeddings(), embeddings(7, seed=1)
  teacher = np.concatenate([teacher, teacher[:, :1]], axis=1)
  value, grad = value_and_grad(variant)(student, teacher, LABELS)

  def expected(x):
    return by_loops(x, np.float64(teacher), LABELS, variant, 0.3)

  x = np.float64(student)
  np.testing.assert_allclose(value, expected(x), rtol=1e-5)
  differences = np.zeros_like(x)
  for index in np.ndindex(*x.shape):
    step = np.zeros_like(x)
    step[index] = 1e-5
    differences[index] = (expected(x + step) - expected(x - step)) / 2e-5
  assert np.abs(differences).max() > 1e-3
  np.testing.assert_allclose(
    grad, differences, rtol=0, atol=1e-5 * np.abs(differences).max()
  )


def test_these_embeddings_reach_both_arms_of_huber():
  student, teacher = embeddings(), embeddings(7, seed=1)
  gaps = [
    np.linalg.norm(x[:, None, 0] - x[None, :, 0], axis=-1)
    for x in (student, teacher)
  ]
  other = LABELS[:, None] != LABELS[None]
  gaps = [d[other] / d[other].mean() for d in gaps]
  wide = np.abs(gaps[0] - gaps[1]) > 1.0
  assert 0 < wide.sum() < wide.size


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
  "moved",
  [
    lambda x: x @ oracles.rotation(D),
    lambda x: 0.2 * x,
    lambda x: 30.0 * x,
    lambda x: x - np.arange(1.0, D + 1.0),
    lambda x: 3.0 * x @ oracles.rotation(D) + np.arange(D),
    lambda x: np.concatenate([0.0 * x, 3.0 * x], axis=-1),  # wider
  ],
  ids=["rotation", "shrunk", "stretched", "shift", "all", "wider"],
)
def test_rotation_scale_and_shift_change_nothing(variant, moved):
  teacher = embeddings()
  student = np.float32(moved(np.float64(teacher)))
  value, grad = value_and_grad(variant)(student, teacher, LABELS)
  assert abs(value) < 1e-6
  size = np.abs(value_and_grad(variant)(teacher[::-1], teacher, LABELS)[1])
  assert np.abs(grad * student.std()).max() < 1e-3 * size.max()
  # A stretch along one axis is none of these.
  stretched = teacher * np.float32([1, 1, 1, 1, 2])
  assert value_and_grad(variant)(stretched, teacher, LABELS)[0] > 1e-3


def test_a_part_has_its_own_scale():
  teacher = embeddings()
  student = teacher * np.float32([0.1, 1.0, 9.0])[None, :, None]
  for variant in VARIANTS:
    assert abs(value_and_grad(variant)(student, teacher, LABELS)[0]) < 1e-6


def on_spheres(seed):
  """Clips whose distances to other people do not depend on the seed.

  Every person has a sphere around a centre, in a plane of their own that is at
  right angles to all else.
  """
  rng = np.random.default_rng(seed)
  people = np.unique(LABELS)
  x = np.zeros([N, P, 2 + 2 * len(people)])
  for i, label in enumerate(LABELS):
    person = int(np.searchsorted(people, label))
    angle = rng.uniform(0.0, 2.0 * np.pi, P)
    x[i, :, :2] = [person, person**2]
    x[i, :, 2 + 2 * person] = (1 + person) * np.cos(angle)
    x[i, :, 3 + 2 * person] = (1 + person) * np.sin(angle)
  return np.float32(x)


@pytest.mark.parametrize("variant", VARIANTS)
def test_distances_within_a_person_are_not_looked_at(variant):
  first, second = on_spheres(0), on_spheres(1)
  gaps = [
    np.linalg.norm(x[:, None] - x[None], axis=-1) for x in (first, second)
  ]
  same = LABELS[:, None] == LABELS[None]
  np.testing.assert_allclose(gaps[0][~same], gaps[1][~same], rtol=1e-6)
  assert np.abs(gaps[0] - gaps[1])[same].max() > 0.5
  fn = value_and_grad(variant)
  assert abs(fn(first, second, LABELS)[0]) < 1e-6
  assert losses.rkd_distance_loss(first, second) > 1e-3
  teacher = embeddings()
  expected = fn(first, teacher, LABELS)[0]
  np.testing.assert_allclose(
    fn(second, teacher, LABELS)[0], expected, rtol=1e-5
  )
  # So a person's clips may change places; clips of several people may not.
  np.testing.assert_allclose(
    fn(first[WITHIN_A_PERSON], teacher, LABELS)[0], expected, rtol=1e-5
  )
  assert abs(fn(first[::-1], teacher, LABELS)[0] - expected) > 1e-3


@pytest.mark.parametrize("variant", VARIANTS)
def test_nobody_else_gives_0(variant):
  value, grad = value_and_grad(variant)(
    embeddings(), embeddings(seed=1), np.full(N, 3)
  )
  assert value == 0.0 and not np.any(grad)
  value, grad = value_and_grad(variant)(
    embeddings()[:1], embeddings(seed=1)[:1], np.array([3])
  )
  assert value == 0.0 and not np.any(grad)


@pytest.mark.parametrize("variant", VARIANTS)
def test_clips_at_one_place_have_finite_gradients(variant):
  fn = value_and_grad(variant)
  teacher = embeddings(seed=1)
  two_meet = embeddings()
  two_meet[1] = two_meet[0]  # two people
  one_apart = np.zeros_like(two_meet)
  one_apart[3, :, 0] = 2e-19  # whose square is still a number
  rows = {
    "all": np.ones_like(two_meet),
    "two": two_meet,
    "all but one": one_apart,
    "nearly all": np.float32(1e-25 * two_meet),
    "very near": np.float32(1e-18 * two_meet),
  }
  for name, student in rows.items():
    for pair in ((student, teacher), (teacher, student), (student, student)):
      value, grad = fn(*pair, LABELS)
      assert np.isfinite(value) and np.isfinite(grad).all(), name


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_outlier_among_many_has_a_finite_gradient(variant):
  # To it, its own person is nearer than others by more than exp can hold.
  n = 64
  x = np.random.default_rng(0).normal(size=(n, 1, D)).astype(np.float32)
  x[0] += 1e3
  labels = np.arange(n)
  value, grad = jax.jit(
    jax.value_and_grad(lambda s, t: losses.idc_loss(s, t, labels, variant))
  )(x, x[::-1].copy())
  assert value > 0 and np.isfinite(value) and np.isfinite(grad).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_number_of_devices_changes_nothing(variant):
  mesh = sharding.create_mesh(8)
  by_clip, whole = sharding.by_sequence(mesh), sharding.replicated(mesh)
  rng = np.random.default_rng(4)
  student, teacher = rng.normal(size=(2, 16, P, D)).astype(np.float32)
  # People who lie on several devices.
  labels = np.tile(np.arange(4, dtype=np.int32), 4)
  split = value_and_grad(
    variant, in_shardings=(by_clip,) * 3, out_shardings=(whole, by_clip)
  )
  value, grad = split(student, teacher, labels)
  assert grad.addressable_shards[0].data.shape == (2, P, D)
  one = jax.device_put((student, teacher, labels), jax.devices()[0])
  expected, other = value_and_grad(variant)(*one)
  assert expected.devices() == {jax.devices()[0]} and expected > 1e-3
  np.testing.assert_allclose(value, expected, rtol=1e-6)
  np.testing.assert_allclose(
    grad, other, rtol=0, atol=2e-6 * np.abs(other).max()
  )


def test_an_unknown_variant_is_one_line():
  with pytest.raises(ValueError, match="not 'kl'") as e:
    losses.idc_loss(embeddings(), embeddings(), jnp.asarray(LABELS), "kl")
  assert "\n" not in str(e.value)


def test_as_a_term():
  rng = np.random.default_rng(6)
  student, teacher = (distillation.outputs(rng) for _ in range(2))
  context = distillation.context_of(student, a=teacher)
  silent = dict(decision_weight=0.0, boundary_weight=0.0)
  objective = distillation.objective_of(
    distillation.make_teachers(a=silent),
    terms={
      "far": dict(kind="idc", weight=2.0),
      "near": dict(kind="idc", variant="softmax", temperature=0.5),
    },
  )
  total, metrics = distillation.value_of(objective, context)
  given = student["embedding"], teacher["embedding"], context.labels
  expected = {
    "far/a": losses.idc_loss(*given),
    "near/a": losses.idc_loss(*given, "softmax", 0.5),
  }
  for name, value in expected.items():
    np.testing.assert_allclose(metrics[name], value, rtol=1e-6)
    assert value > 1e-4
  np.testing.assert_allclose(
    total, 2.0 * expected["far/a"] + expected["near/a"], rtol=1e-6
  )
