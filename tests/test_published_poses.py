"""From poses as they are published to prepared data, and to a training."""

import json
import math

import numpy as np
import pytest

from data_pipelines import datasets
from data_pipelines import heatmaps
from tests.helpers import builds
from tests.helpers import command
from tests.helpers import pose_trees
from tests.helpers import stick_figure
from tests.helpers import trees

PROGRAM = ("scripts/make_heatmaps.py",)
MODALITIES = ("silhouettes", "heatmaps")


def _walks(dataset, frames):
  """A walk for every sequence of four subjects."""
  subjects = trees.first_subjects(dataset, 4)
  keys = [key for i in subjects for key in trees.sequences(dataset, i)]
  return {
    key: stick_figure.key_points(frames, 0.3 * i, 150.0 - i % 20)
    for i, key in enumerate(keys)
  }


def _write_gait3d(root, walks):
  """The poses begin a frame earlier than the silhouettes, and end earlier."""
  for key, walk in walks.items():
    pose_trees.write_gait3d(root.joinpath("poses", *key), walk[:-2], 98)
    pose_trees.write_pngs(
      root.joinpath("silhouettes", *key), walk[1:], 99, "human_crop_f{}.png"
    )
  return "poses", slice(0, -2), slice(1, -2)


def _write_oumvlp(root, walks):
  for (subject, condition, view), walk in walks.items():
    frames = {21 + i: [person] for i, person in enumerate(walk[1:])}
    folder = root / "poses" / "alphapose" / subject / f"{view}_{condition}"
    pose_trees.write_openpose(folder, frames, name="{:04d}_keypoints.json")
    folder = root / "silhouettes" / f"Silhouette_{view}-{condition}" / subject
    pose_trees.write_pngs(folder, walk, 20, "{:04d}.png")
  return "poses/alphapose", slice(1, None), slice(1, None)


def _write_gaitgraph(root, walks):
  rows = []
  for (subject, condition, view), walk in walks.items():
    name = f"{subject}-{condition}-{view}"
    rows += [(f"./{name}/{i + 1:06d}.jpg", p) for i, p in enumerate(walk)]
    folder = root.joinpath("silhouettes", subject, condition, view)
    pose_trees.write_pngs(folder, walk[2:], 3, name + "-{:03d}.png")
  pose_trees.write_gaitgraph(root / "poses" / "casia-b_pose_coco.csv", rows)
  return "poses/casia-b_pose_coco.csv", slice(0, None), slice(2, None)


@pytest.mark.parametrize(
  ("dataset", "form", "write"),
  [
    ("gait3d", "gait3d", _write_gait3d),
    ("oumvlp", "oumvlp", _write_oumvlp),
    ("casiab", "gaitgraph", _write_gaitgraph),
  ],
)
def test_published_poses_and_silhouettes_are_prepared(
  dataset, form, write, tmp_path
):
  walks = _walks(dataset, 9)
  # Which frames have poses, and which of them have silhouettes, too.
  poses, posed, kept = write(tmp_path, walks)
  out = tmp_path / "out"
  said = command.output(
    f"--input={tmp_path / poses}",
    f"--silhouettes={tmp_path / 'silhouettes'}",
    f"--output={out}",
    "--processes=1",
    program=PROGRAM,
  )
  first, *_, last = said.splitlines()
  assert first.startswith(f"format {form} (")
  assert f"{len(walks)} sequences written" in last and "0 left out" in last
  data = builds.data_of(dataset, out, modalities=MODALITIES)
  builder = datasets.prepare(data)
  found = {m: {} for m in MODALITIES}
  for modality, rows in found.items():
    for part in builds.read(builder, modality).values():
      rows.update(part)
  assert set(found["heatmaps"]) == {"-".join(key) for key in walks}
  for key, walk in walks.items():
    maps = np.zeros((len(walk), 2, 64, 64), np.uint8)
    maps[posed] = heatmaps.make_heatmaps(walk[posed])
    name = "-".join(key)
    np.testing.assert_array_equal(found["heatmaps"][name], maps[kept])
    np.testing.assert_array_equal(
      found["silhouettes"][name], stick_figure.silhouettes(walk[kept])
    )


@pytest.mark.slow
def test_skeletongaitpp_trains_on_sustech1k_as_published(tmp_path):
  root, out = tmp_path / "SUSTech1K", tmp_path / "maps"
  walks = _walks("sustech1k", 9)
  for key, walk in walks.items():
    shapes = stick_figure.silhouettes(walk)
    pose_trees.write_sustech1k(root.joinpath(*key), walk, shapes)
  said = command.output(
    f"--input={root}",
    f"--silhouettes={root}",
    f"--output={out}",
    program=PROGRAM,
  )
  assert said.startswith("format sustech1k (") and "48 sequences" in said
  said = command.output(
    "--dataset=sustech1k",
    f"--root={out}",
    f"--prepared={tmp_path / 'prepared'}",
    "--modalities=silhouettes,heatmaps",
    "--partition=halves",
    program=("-m", "data_pipelines.prepare"),
  )
  assert "train: 24 sequences" in said and "test: 24 sequences" in said
  command.output(
    "--config=configs/skeletongaitpp.py:sustech1k_smoke",
    f"--workdir={tmp_path / 'run'}",
    f"--config.data.root={out}",
    f"--config.data.prepared={tmp_path / 'prepared'}",
  )
  lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
  rows = [row for row in map(json.loads, lines) if "train/loss" in row]
  assert [row["step"] for row in rows] == [1, 2, 3]
  assert all(math.isfinite(row["train/loss"]) for row in rows)
