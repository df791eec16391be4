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
