"""Which data sets are at hand, and how each is asked for."""

import pathlib

import pytest

from data_pipelines import datasets
from gaitkd_jax.evaluation import protocols
from gaitkd_jax.evaluation import targets
from tests.helpers import builds
from tests.helpers import configs
from tests.helpers import mistakes
from tests.helpers import trees
from tests.helpers import untrained

BOTH = ("silhouettes", "heatmaps")
# All that have no data here.
OTHERS = {"oumvlp", "grew", "ccpg"}


def config(prepared, name="walkers_baseline", **changes):
  c = configs.load(name, "smoke")[1]
  changes = {"data.prepared": str(prepared), **changes}
  return untrained.changed(c, **changes)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
  """CASIA-B; SUSTech1K with heat maps; Gait3D twice; no walkers."""
  root = tmp_path_factory.mktemp("targets")
  trees.write(root / "casiab", "casiab", subjects=4, frames=3)
  trees.write(root / "gait3d", "gait3d", subjects=4, frames=3)
  trees.write(
    root / "sustech1k",
    "sustech1k",
    "pickle",
    subjects=4,
    frames=3,
    with_heatmaps=True,
  )
  where = root / "prepared"
  for name, values in (
    ("casiab", {}),
    ("gait3d", {}),
    ("gait3d", {"partition": "halves"}),
    ("sustech1k", {"modalities": BOTH, "pickles": "silhouettes=1,heatmaps=0"}),
  ):
    datasets.prepare(
      builds.data_of(name, root / name, prepared=str(where), **values)
    )
  return where


def test_all_that_are_prepared(prepared):
  found, absent = targets.find(config(prepared), "all")
  assert [target.name for target in found] == ["casiab", "gait3d", "sustech1k"]
  assert {*OTHERS, "walkers"} <= set(absent)
  assert not {"casiab", "gait3d", "sustech1k"} & set(absent)
  for target in found:
    assert target.protocol == target.name == target.title
    assert isinstance(protocols.find(target.protocol), protocols.ScoredProtocol)
    builder = datasets.prepare(target.data)
    assert builder.info.splits["test"].num_examples
  # Of Gait3D that of its own division.
  notes = datasets.builder_class("gait3d").builds(prepared)
  name = pathlib.Path(datasets.prepare(found[1].data).data_dir).parent.name
  assert len(notes) == 2 and notes[name].own_division
  # A network that takes silhouettes alone reads them where there are both.
  assert found[0].data.modalities == ("silhouettes",)
  assert found[2].data.modalities == BOTH
  less, _ = targets.find(config(prepared), "all", known="casiab")
  assert [target.name for target in less] == ["gait3d", "sustech1k"]


def test_heat_maps_are_taken_where_they_are(prepared):
  c = config(prepared, "walkers_teacher_maps")
  found, absent = targets.find(c, "all")
  assert [target.name for target in found] == ["sustech1k"]
  assert "casiab (prepared without the heat maps that the network takes)" in (
    absent
  )
  text = mistakes.message(targets.find, c, "casiab")
  assert text.startswith("--on=casiab: prepared without the heat maps")
  given, _ = targets.find(c, "walkers:tiny,casiab:~/b")
  assert all(target.data.modalities == BOTH for target in given)
  assert given[0].data.variant == "tiny" and given[0].protocol == "casiab"
  assert given[1].data.root == str(pathlib.Path.home() / "b")


def test_what_is_named_has_to_be_there(prepared):
  c = config(prepared)
  found, absent = targets.find(c, "sustech1k, casiab")
  assert [target.name for target in found] == ["sustech1k", "casiab"]
  assert not absent
  for on, words in (
    ("casia", "no data set 'casia' with a protocol of its own; give all, or"),
    ("opengait", "no data set 'opengait'"),
    ("casiab,", "no data set ''"),
    ("oumvlp", "--on=oumvlp: it is not prepared in"),
    ("walkers", "give --on=walkers:tiny"),
    ("casiab,gait3d,casiab", "names casiab twice"),
  ):
    assert words in mistakes.message(targets.find, c, on)


def test_divisions_that_are_not_the_benchmarks(prepared, tmp_path):
  """They are named; of several none is taken."""
  trees.write(tmp_path / "tree", "casiab", subjects=4, frames=3)
  prepare = {"prepared": str(tmp_path / "prepared"), "root": tmp_path / "tree"}
  datasets.prepare(builds.data_of("casiab", partition="halves", **prepare))
  c = config(tmp_path / "prepared", **{"data.partition": ""})
  (one,), _ = targets.find(c, "casiab")
  assert one.title == "casiab (halves)" and one.file == "on_casiab"
  assert one.data.partition == "halves"
  test = trees.first_subjects("casiab", 4)[-1:]
  datasets.prepare(builds.data_of("casiab", test_subjects=test, **prepare))
  text = mistakes.message(targets.find, c, "casiab")
  assert "prepared 2 times; give --on=casiab:<folder> for one of" in text
  assert (
    f"casiab ({text.removeprefix('--on=casiab: ')})"
    in (targets.find(c, "all")[1])
  )
  (given,), _ = targets.find(config(prepared), "casiab:/tree")
  assert given.title == "casiab (halves)"  # as the smoke config's own


def test_people_who_were_trained_on_are_named(prepared):
  c = config(prepared, **{"data.variant": "small"})
  found, _ = targets.find(c, "walkers:tiny,walkers:small,walkers:full")
  assert [target.title for target in found] == [
    "walkers:tiny (subjects of the training)",
    "walkers:small",
    "walkers:full",
  ]
