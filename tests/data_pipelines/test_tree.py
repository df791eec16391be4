"""Trees of folders: which of them are sequences."""

import pytest

from data_pipelines import datasets
from data_pipelines import tree
from tests.helpers import builds
from tests.helpers import paths
from tests.helpers import trees


@pytest.mark.parametrize("dataset", trees.NAMES)
def test_the_expected_tree_is_told(tmp_path, dataset):
  root = tmp_path / "tree"
  (root / "other" / "names").mkdir(parents=True)
  message = builds.refusal(builds.data_of(dataset, root))
  for layout in datasets.source(dataset).layouts:
    assert layout.text in message
  readme = paths.ROOT / "data_pipelines" / dataset / "README.md"
  for layout in datasets.source(dataset).layouts:
    text = layout.text.split(",")[0]
    assert f"`{text}/*.p" in readme.read_text(), text


def test_a_root_one_level_off(tmp_path):
  trees.write(tmp_path / "a" / "tree", "casiab", "pickle", 2, 1)
  message = builds.refusal(builds.data_of("casiab", tmp_path / "a"))
  assert f"{tmp_path}/a/tree holds such folders" in message
  message = builds.refusal(
    builds.data_of("casiab", tmp_path / "a" / "tree" / "001")
  )
  assert f"the folder above, {tmp_path}/a/tree," in message
  trees.write(tmp_path / "grew", "grew", "raw", 2, 1)
  message = builds.refusal(builds.data_of("grew", tmp_path / "grew" / "test"))
  assert f"the folder above, {tmp_path}/grew," in message
  # With any names allowed, this would make one subject of all people.
  values = trees.normalised("casiab", "001", "nm-01", "090", 1)
  for subject in ("001", "002"):
    folder = tmp_path / "own" / "people" / subject / "090"
    trees.write_pickles("casiab", folder, values)
  data = builds.data_of("opengait", tmp_path / "own" / "people")
  data.partition = "halves"
  assert "the folder above" not in builds.refusal(data)


def test_a_sequence_is_the_outermost_folder_that_holds_files(tmp_path):
  """HID's `probe/<sequence>` and `probe/<type>/<view>`."""
  root = tmp_path / "tree"
  frames = trees.images("probe", "", "", 2)
  trees.write_raw(root / "probe" / "video1", frames)
  (root / "probe" / "video1" / "thumbnails").mkdir()
  trees.write_raw(root / "probe" / "video2" / "default", frames)
  trees.write_raw(root / "probe" / "00" / "video3", frames)
  trees.write_raw(root / "probe" / "00" / "video4", frames)
  (root / "probe" / "video5").mkdir()
  found = tree.scan(root, datasets.source("hid").layouts)
  assert {folder.key: folder.path for folder in found.folders} == {
    f"probe-{condition}-{view}": f"{root}/probe/{path}"
    for condition, view, path in (
      ("video1", "default", "video1"),
      ("video2", "default", "video2/default"),
      ("00", "video3", "00/video3"),
      ("00", "video4", "00/video4"),
      ("video5", "default", "video5"),  # is skipped when it is read
    )
  }


@pytest.mark.parametrize(
  "names",
  [
    ["1.png", "2.png", "10.png", "a.png"],
    ["f2_9.png", "f2_10.png", "f10_1.png"],
    ["995.png", "996.png", "1000.png"],
    ["0.5.png", "0.96.png", "1.png", "1.04.png", "1.2.png"],
    ["-2.png", "-1.png", "0.png", "1.png"],
    ["1.9.png", "1.10.png", "1.11.png"],
    ["01.png", "1.png", "2.jpg"],
  ],
)
def test_frames_in_the_order_in_which_people_count(names):
  assert tree.frame_order(reversed(names)) == names
