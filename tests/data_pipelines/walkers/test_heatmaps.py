"""Heat maps of the synthetic set: joints, alignment, purity, and training."""

import types
import zlib

import cv2
import numpy as np
import pytest

from data_pipelines import datasets
from data_pipelines import heatmaps
from data_pipelines import pipeline
from data_pipelines import store as store_lib
from data_pipelines.walkers import generate
from data_pipelines.walkers import render
from data_pipelines.walkers import sequence
from data_pipelines.walkers import spec as spec_lib
from gaitkd_jax import errors
from tests.helpers import builds
from tests.helpers import walkers

TINY = spec_lib.SIZES["tiny"]
NOSE, LEFT, RIGHT = 0, slice(1, 17, 2), slice(2, 17, 2)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
  return builds.data_of(
    "walkers",
    prepared=str(tmp_path_factory.mktemp("walkers")),
    modalities=("silhouettes", "heatmaps"),
  )


@pytest.fixture(scope="module")
def builder(data):
  return datasets.prepare(data)


@pytest.mark.parametrize("view", TINY.views)
def test_joints_lie_inside_the_body(view):
  for subject in ("001", "006"):
    scene = sequence._scene(TINY, subject, "nm-01", view, walkers.CLEAN)
    still = np.zeros(TINY.frames)
    inside = render.distances(*scene, still + 1, still)
    points = sequence.render_key_points(
      "tiny", subject, "nm-01", view, walkers.CLEAN
    )
    assert np.all(points[..., 2] == 1)
    columns, rows, _ = np.moveaxis(points.astype(int), -1, 0)
    depth = inside[np.arange(TINY.frames)[:, None], rows, columns]
    # The face is on the head's outline or inside, depending on the view.
    assert depth[:, :5].min() > -1
    assert depth[:, 5:].min() > 0.3


def test_joints_are_in_the_order_of_coco():
  x, y, _ = np.moveaxis(
    sequence.render_key_points("tiny", "002", "nm-01", "000", walkers.CLEAN),
    -1,
    0,
  )
  # The walker comes towards the camera: its left is on the right.
  paired = x[:, LEFT] - x[:, RIGHT]
  assert np.all(paired[:, :6] > 0)  # Eyes, ears, ..., wrists, hips.
  heights = [y[:, i : i + 2].mean() for i in (1, 5, 7, 11, 13, 15)]
  assert heights == sorted(heights)
  assert heights[0] < 8
  assert heights[-1] > 56
  # Seen from its left the walker heads left: nose, then eyes, then ears.
  x = sequence.render_key_points("tiny", "002", "nm-01", "090", walkers.CLEAN)[
    ..., 0
  ]
  assert np.all(x[:, NOSE] < x[:, 1])
  assert np.all(x[:, 1] < x[:, 3])


def test_joints_move_as_the_walker_does():
  x = sequence.render_key_points("tiny", "003", "nm-01", "090", walkers.CLEAN)[
    ..., 0
  ]
  wrists, ankles = x[:, 9] - x[:, 10], x[:, 15] - x[:, 16]
  # Arms swing against the legs.
  assert np.corrcoef(wrists, ankles)[0, 1] < -0.8
  assert np.ptp(ankles) > 20


def _on_body(view, spec):
  """Shares of the maps' energy on the body, near it, and near a wrong place."""
  shares = []
  for subject, condition in (("001", "nm-01"), ("009", "cl-01")):
    name = ("tiny", subject, condition, view, spec)
    body = sequence.render_sequence(*name)
    near = np.stack([cv2.dilate(f, np.ones((9, 9), np.uint8)) for f in body])
    maps = sequence.render_heatmaps(*name).astype(float)
    for where in (body, near, np.roll(near, 12, axis=2)):
      energy = (maps * (where > 0)[:, None]).sum(axis=(2, 3))
      shares.append((energy / maps.sum(axis=(2, 3))).mean())
  return np.reshape(shares, (2, 3)).mean(axis=0)


@pytest.mark.parametrize("view", TINY.views)
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_maps_lie_on_the_body(view, noise):
  on, near, beside = _on_body(view, spec_lib.Spec(noise=noise))
  assert on > 0.5
  assert near > 0.92
  assert beside < 0.6


def test_maps_are_those_of_recorded_data():
  maps = sequence.render_heatmaps("tiny", "004", "nm-02", "036")
  assert maps.shape == (16, 2, 64, 64)
  assert maps.dtype == np.uint8
  points = sequence.render_key_points("tiny", "004", "nm-02", "036")
  np.testing.assert_array_equal(maps, heatmaps.make_heatmaps(points))
  # Limbs hold the joints that they join.
  limbs, joints = maps[:, 0].astype(int), maps[:, 1].astype(int)
  assert np.mean(limbs) > np.mean(joints)
  assert np.all(maps.max(axis=(2, 3)) > 150)


def test_noise_moves_the_joints_a_little_and_costs_confidence():
  name = ("tiny", "004", "nm-01", "090")
  clean = sequence.render_key_points(*name, walkers.CLEAN)
  noisy = sequence.render_key_points(*name)
  more = sequence.render_key_points(*name, spec_lib.Spec(noise=3.0))
  moved, further = (
    np.linalg.norm(points - clean, axis=-1) for points in (noisy, more)
  )
  assert 0 < moved.mean() < 3
  assert further.mean() == pytest.approx(3 * moved.mean(), rel=0.2)
  assert np.all((more[..., 2] > 0) & (more[..., 2] <= 1))
  assert more[..., 2].mean() < noisy[..., 2].mean() < 1


# x and y of nose, left shoulder, left wrist, left hip, right ankle in frame 8.
GOLDEN = {
  ("001", "nm-01", "090"): [
    [38.31, 5.90],
    [43.15, 14.01],
    [46.53, 35.59],
    [43.78, 32.95],
    [48.41, 61.11],
  ],
  ("009", "cl-02", "036"): [
    [42.61, 5.35],
    [49.66, 15.14],
    [50.80, 36.20],
    [46.63, 33.78],
    [45.96, 53.67],
  ],
}


def test_key_points_are_the_published_ones():
  for name, expected in GOLDEN.items():
    points = sequence.render_key_points("tiny", *name)
    np.testing.assert_allclose(
      points[8, [0, 5, 9, 11, 16], :2],
      expected,
      atol=0.05,
      err_msg=(
        f"The key points of {name} changed. If that is meant, raise"
        " spec.VERSION (prepared data are found by it) and put the found places"
        " here."
      ),
    )


def test_maps_leave_the_silhouettes_as_they_are():
  subjects = walkers.SHORT.split("test")
  plain, one, two = (
    list(
      generate.sequences(
        walkers.SHORT, subjects, spec_lib.Spec(), cores, heatmaps=h
      )
    )
    for cores, h in ((1, False), (1, True), (2, True))
  )
  assert len(plain) == len(one) == len(two) == 2 * 2 * 2
  for a, b, c in zip(plain, one, two, strict=True):
    assert a[:3] == b[:3] == c[:3]
    assert set(a[3]) == {"silhouettes"}
    assert b[3]["heatmaps"] == c[3]["heatmaps"]
    for other in (b, c):
      assert a[3]["silhouettes"].tobytes() == other[3]["silhouettes"].tobytes()
  # In reverse, and alone: the same.
  for subject, condition, view, found in one[::-1]:
    maps = [
      np.frombuffer(zlib.decompress(m), np.uint8) for m in found["heatmaps"]
    ]
    np.testing.assert_array_equal(
      np.stack(maps).reshape(-1, 2, 64, 64),
      sequence.render_heatmaps(walkers.SHORT, subject, condition, view),
    )


def test_unknown_names_are_refused():
  for make in (sequence.render_key_points, sequence.render_heatmaps):
    with pytest.raises(errors.UserError, match="walkers: no view '054'"):
      make("tiny", "001", "nm-01", "054")


@pytest.mark.slow
def test_prepared_maps_feed_training(data, builder):
  assert builder.builder_config.name == "tiny_heatmaps"
  train = store_lib.SequenceStore.from_builder(builder, "train")
  assert train.modalities == ("silhouettes", "heatmaps")
  assert len(train) == 8 * 10 * 4
  for i in (0, 200):
    name = (train.subjects[i], train.conditions[i], train.views[i])
    found = train.decode(train.read(i))
    for modality, render_it in (
      ("silhouettes", sequence.render_sequence),
      ("heatmaps", sequence.render_heatmaps),
    ):
      np.testing.assert_array_equal(found[modality], render_it("tiny", *name))
  batch = next(
    pipeline.train_batches(
      train,
      identities=4,
      sequences=2,
      clip=pipeline.Clip(frames=6, skip=2),
      augment=pipeline.Augment(flip=0.5),
      seed=0,
    )
  )
  assert batch["silhouettes"].shape == (8, 6, 64, 44)
  assert batch["heatmaps"].shape == (8, 6, 64, 44, 2)
  body = batch["silhouettes"].reshape(-1, 64, 44)
  near = np.stack([cv2.dilate(f, np.ones((9, 9), np.uint8)) for f in body]) > 0
  maps = batch["heatmaps"].reshape(-1, 64, 44, 2).astype(float)
  assert (maps * near[..., None]).sum() / maps.sum() > 0.9


def test_modalities_are_prepared_apart(data, builder):
  again = datasets.prepare(data)
  assert again.data_path == builder.data_path
  data = types.SimpleNamespace(**vars(data) | {"modalities": ("silhouettes",)})
  plain = datasets.prepare(data)
  assert plain.builder_config.name == "tiny"
  assert "heatmaps" not in plain.info.features
  alone, beside_maps = (
    store_lib.SequenceStore.from_builder(b, "test") for b in (plain, builder)
  )
  np.testing.assert_array_equal(alone.names, beside_maps.names)
  for i in range(len(alone)):
    np.testing.assert_array_equal(
      alone.decode(alone.read(i))["silhouettes"],
      beside_maps.decode(beside_maps.read(i))["silhouettes"],
    )


@pytest.mark.parametrize(
  "values, words",
  [
    ({"modalities": ("heatmaps",)}, "data.modalities is heatmaps"),
    ({"modalities": ("silhouettes", "pose")}, "data.modalities is"),
    (
      {"variant": "tiny_heatmaps"},
      "choose one of tiny, small, full, validation$",
    ),
  ],
)
def test_wrong_values_are_one_line(data, values, words):
  with pytest.raises(errors.UserError, match=words):
    datasets.prepare(types.SimpleNamespace(**vars(data) | values))
