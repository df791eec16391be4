"""Similarity distillation against a memory of past clips."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import losses
from gaitkd_jax import sharding

P, D, E = 2, 4, 6


def batch(seed, n=5, width=E):
  rng = np.random.default_rng(seed)
  return (
    jnp.asarray(rng.normal(size=(n, P, D)), jnp.float32),
    jnp.asarray(rng.normal(size=(n, P, width)), jnp.float32),
    jnp.asarray(rng.integers(0, 3, n)),
  )


def unit(x):
  x = np.float64(x)
  return x / np.linalg.norm(x, axis=-1, keepdims=True)


def expected_loss(anchors, memory, hardest, delta=0.1, skip_self=False):
  """One clip after another; `memory` is a list of (student, teacher, label)."""
  positives, negatives = [], []
  for i, (es, et, label) in enumerate(zip(*anchors, strict=True)):
    for p in range(P):
      found = []
      for j, (ms, mt, other) in enumerate(memory):
        if skip_self and i == j:
          continue
        student, teacher = unit(es)[p] @ ms[p], unit(et)[p] @ mt[p]
        gap = abs(student - teacher)
        short = min(gap, delta)
        term = short * (gap - 0.5 * short)
        if label == other:
          positives.append(term)
        else:
          found.append((max(student, teacher), term))
      found.sort(key=lambda x: -x[0])
      negatives.extend(term for _, term in found[:hardest])
  return np.mean(positives) + np.mean(negatives)


@pytest.mark.parametrize("size", [13, 10, 3])
def test_the_bank_is_first_in_first_out(size):
  # Of 13 and 3 the batch of 5 is no divisor.
  bank = losses.init_bank(size, P, D, E)
  push = jax.jit(losses.push)
  queue = collections.deque(maxlen=size)
  for seed in range(7):
    student, teacher, labels = batch(seed)
    bank = push(bank, student, teacher, labels)
    for i in range(5):
      queue.append((student[i], teacher[i], int(labels[i])))
    assert bank.count == len(queue)
    # The oldest lies at the cursor once the bank is full.
    start = int(bank.cursor) if len(queue) == size else 0
    order = (start + np.arange(len(queue))) % size
    for key, stored in enumerate((bank.student, bank.teacher, bank.labels)):
      np.testing.assert_array_equal(
        stored[order], np.stack([x[key] for x in queue])
      )
    assert not bank.student[int(bank.count) :].any()


def test_a_batch_that_does_not_fit_is_refused():
  student, teacher, labels = batch(0)
  bank = losses.init_bank(8, P, D, E)
  with pytest.raises(ValueError, match=r"teacher \(5, 2, 4\).*\(8, 2, 6\)"):
    losses.push(bank, student, student, labels)
  with pytest.raises(ValueError, match=r"labels \(3,\)"):
    losses.push(bank, student, teacher, labels[:3])


def run(size, steps, **kwargs):
  """Losses of successive batches, and what a list says that they are."""
  fn = jax.jit(
    lambda s, t, y, b: losses.relation_bank_loss(s, t, y, b, **kwargs)
  )
  bank = losses.init_bank(size, P, D, kwargs.pop("width", E))
  memory = collections.deque(maxlen=size)
  for seed in range(steps):
    width = bank.teacher.shape[-1]
    student, teacher, labels = batch(seed, width=width)
    value, bank = fn(student, teacher, labels, bank)
    yield value, (student, teacher, labels), list(memory)
    memory.extend(
      zip(unit(student), unit(teacher), np.asarray(labels), strict=True)
    )


@pytest.mark.parametrize("hardest", [3, 64])
def test_relation_bank_loss_by_hand(hardest):
  # A quarter of 22 is 5.5: two batches of five must lie in the bank.
  seen = []
  for value, clips, memory in run(22, 7, hardest=hardest):
    if len(memory) < 5.5:
      assert value == 0
    else:
      expected = expected_loss(clips, memory, hardest)
      np.testing.assert_allclose(value, expected, rtol=1e-4)
      seen.append(len(memory))
  assert seen == [10, 15, 20, 22, 22]


def test_relation_bank_loss_against_the_teacher():
  student, _, labels = batch(0)
  _, teacher, _ = batch(1, width=D)
  bank = losses.init_bank(10, P, D, D)
  for seed in (2, 3):
    old_student, old, y = batch(seed, width=D)
    _, bank = losses.relation_bank_loss(old_student, old, y, bank)
  value, _ = losses.relation_bank_loss(
    student, teacher, labels, bank, against="teacher"
  )
  rows = list(
    zip(
      np.asarray(bank.teacher),
      np.asarray(bank.teacher),
      np.asarray(bank.labels),
      strict=True,
    )
  )
  expected = expected_loss((student, teacher, labels), rows, 64)
  np.testing.assert_allclose(value, expected, rtol=1e-4)
  # A student who equals the teacher has nothing to learn.
  value, _ = losses.relation_bank_loss(
    teacher, teacher, labels, bank, against="teacher"
  )
  assert value < 1e-10
  value, _ = losses.relation_bank_loss(student, teacher, labels, bank)
  assert value > 1e-3


def test_what_is_not_filled_is_not_seen():
  student, teacher, labels = batch(0)
  bank = losses.push(
    losses.init_bank(12, P, D, E), *(unit(x) for x in batch(1)[:2]), labels
  )
  value, _ = losses.relation_bank_loss(student, teacher, labels, bank)
  noise = jnp.asarray(np.random.default_rng(2).normal(size=(7, P, D)))
  dirty = bank.replace(student=bank.student.at[5:].set(noise))
  same, _ = losses.relation_bank_loss(student, teacher, labels, dirty)
  assert value == same and value > 0


def test_equal_similarities_are_mined_in_the_order_of_the_bank():
  # All negatives look alike to both, so that only the order decides; but only
  # the first is a negative of another gap.
  bank = losses.init_bank(6, 1, 2, 2)
  student = jnp.array([[1.0, 0.0]] * 6).reshape(6, 1, 2)
  teacher = jnp.array([[0.6, 0.8]] + [[0.0, 1.0]] * 5).reshape(6, 1, 2)
  bank = losses.push(bank, student, teacher, jnp.arange(6))
  anchor = jnp.array([[1.0, 0.0]]).reshape(1, 1, 2)

  def loss(x):
    return losses.relation_bank_loss(
      x, anchor, jnp.array([9]), bank, hardest=2
    )[0]

  # max(Ss, St) is 1 six times; gaps are .4 and 1: (.1 (.4 - .05) + .1 (1 -
  # .05)) / 2.
  for fn in (loss, jax.jit(loss)):
    np.testing.assert_allclose(fn(anchor), 0.065, rtol=1e-5)


def test_relation_batch_loss():
  student, teacher, labels = batch(0)
  rows = list(
    zip(unit(student), unit(teacher), np.asarray(labels), strict=True)
  )
  for hardest in (2, 64):
    value = losses.relation_batch_loss(student, teacher, labels, hardest)
    expected = expected_loss(
      (student, teacher, labels), rows, hardest, skip_self=True
    )
    np.testing.assert_allclose(value, expected, rtol=1e-4)
  turned = np.linalg.qr(np.random.default_rng(3).normal(size=(D, D)))[0]
  moved = 2.0 * student @ jnp.asarray(turned, jnp.float32)
  assert losses.relation_batch_loss(student, moved, labels) < 1e-10


def test_eight_devices_keep_the_bank_of_one():
  mesh = sharding.create_mesh()
  spread, whole = sharding.by_sequence(mesh), sharding.replicated(mesh)
  fn = jax.jit(losses.relation_bank_loss, out_shardings=whole)
  one = losses.init_bank(19, P, D, E)
  many = jax.device_put(one, whole)
  for seed in range(4):
    arrays = batch(seed, n=8)
    value, one = jax.jit(losses.relation_bank_loss)(*arrays, one)
    sharded, many = fn(*jax.device_put(arrays, spread), many)
    np.testing.assert_allclose(value, sharded, rtol=1e-5)
    assert seed < 1 or value > 0
  for alone, together in zip(
    jax.tree.leaves(one), jax.tree.leaves(many), strict=True
  ):
    np.testing.assert_allclose(alone, together, rtol=1e-6)
    copies = [np.asarray(x.data) for x in together.addressable_shards]
    assert len(copies) == 8
    for copy in copies:
      np.testing.assert_array_equal(copy, copies[0])
