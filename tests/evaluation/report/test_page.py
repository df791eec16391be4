"""The page of an evaluation: its figures, its probes, nothing from outside."""

import base64
import dataclasses
import io
import json
import re

from matplotlib import image
import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax import evaluation
from gaitkd_jax import workdir as workdir_lib
from gaitkd_jax.evaluation import metrics as metrics_lib
from gaitkd_jax.evaluation import protocols
from gaitkd_jax.evaluation import scoring
from gaitkd_jax.evaluation.protocols import ranker as ranker_lib
from gaitkd_jax.evaluation.protocols import verification as verification_lib
from gaitkd_jax.evaluation.report import charts
from tests.helpers import evaluation_sets as sets
from tests.helpers import pages

FRAMES = 8
GREW = pages.GREW
# Protocols that rank each view of the gallery on its own.
BY_VIEW = ("casiab", "oumvlp", "casiae", "ccpg", "sustech1k")


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
  """Few pixels: most of the time of a chart goes into them."""
  monkeypatch.setattr(charts, "_SCALE", 0.5)


def suited(protocol):
  """A small set that suits a protocol."""
  scorer = protocols.PROTOCOLS[protocol]
  groups = getattr(scorer, "conditions", {})
  names = [c for g in groups.values() for c in (*g.probes, *g.gallery)]
  labels = sets.cross(
    ["a", "b", "c"], sorted(set(names)) or ["k", "l"], ["00", "90"]
  )
  names = labels.names.tolist()
  lists = {"probes": names[::2], "gallery": names[1::2]}
  known = scorer.options
  return labels, {name: lists[name] for name in known if name in lists}


def curve(far, tar):
  far, tar = np.asarray(far, float), np.asarray(tar, float)
  return verification_lib.Curve(far, far, tar, 100)


@pytest.mark.parametrize(
  "protocol",
  [
    name
    for name, protocol in protocols.PROTOCOLS.items()
    if isinstance(protocol, protocols.ScoredProtocol)
  ],
)
def test_every_protocol_has_a_page(tmp_path, protocol):
  labels, options = suited(protocol)
  page = pages.write(tmp_path / "7.html", protocol, labels, options=options)
  scorer = protocols.PROTOCOLS[protocol]
  found = scoring.evaluate(
    scorer, evaluation.Embedded(sets.embed(labels), labels, options)
  )
  pairs = [scorer.view_pairs(ranks) for ranks in found.ranks]
  maps = {p.name for p in (tmp_path / "7").glob("views_*.png")}
  assert maps == {f"views_{p.condition}.png" for p in pairs if p}
  assert bool(maps) == (protocol in BY_VIEW)
  assert ("pairs" in page.sections) == bool(maps)
  for name in ("results", "cmc", "probes"):
    assert name in page.sections
  assert f"{len(labels)}" in page.text


def test_figures_are_those_given(tmp_path):
  labels, _ = suited("casiab")
  names = ("rank1", "rank1_identical_view", "rank1_all_views", "mAP")
  values = {
    (condition, name): 10 * i + j + 0.126
    for i, condition in enumerate(("NM", "CL", "mean"))
    for j, name in enumerate(names)
  }
  del values["CL", "mAP"]
  metrics = [metrics_lib.Metric(*key, value) for key, value in values.items()]
  metrics += [
    metrics_lib.Metric("NM", "rank1", 77.777, "00"),
    metrics_lib.Metric("CL", "rank1", 66.666, "90"),
  ]
  point = verification_lib.OperatingPoint(0.01, 98.765, 0.0123456)
  rate = np.linspace(0, 1, 9)
  verification = verification_lib.Verification(
    "NM", 1.234, (point,), curve(rate, rate**0.5)
  )
  page = pages.write(
    tmp_path / "7.html",
    "casiab",
    labels,
    metrics=tuple(metrics),
    verification=(verification,),
  )
  shown = page.figures(0)
  headings = ("Rank-1", "Rank-1, identical view", "Rank-1, all views", "mAP")
  for condition in ("NM", "CL", "mean"):
    for name, heading in zip(names, headings, strict=True):
      value = values.get((condition, name))
      expected = "" if value is None else f"{value:.2f}"
      assert shown[condition, heading] == expected
  assert page.figures(1)["NM", "00"] == "77.78"
  assert page.figures(1)["CL", "90"] == "66.67"
  assert page.figures(1)["CL", "mean"] == "10.13"
  assert page.figures(3) == {
    ("NM", "EER"): "1.23",
    ("NM", "TAR at FAR 0.01"): "98.770.01235",
  }
  assert "<strong>20.13<" in page.source  # mean/rank1, the primary metric
  assert (tmp_path / "7" / "roc.png").exists()


def test_cmc_is_the_protocols_own(tmp_path):
  conditions = ("nm-01", "nm-05", "bg-01", "cl-01")
  labels = sets.cross([f"{i:03d}" for i in range(12)], conditions, ["00", "90"])
  embeddings = sets.embed(labels, spread=3)
  page = pages.write(
    tmp_path / "7.html", "casiab", labels, embeddings=embeddings
  )
  more = (1, 4, 5, 6, 10)
  expected = sets.score("casiab", evaluation.Embedded(embeddings, labels), more)
  ordered = [expected[f"mean/rank{k}"] for k in more]
  assert ordered == sorted(set(ordered))
  shown = page.figures(2)
  for name in ("NM", "BG", "CL", "mean"):
    for k in (1, 5, 10):
      assert shown[name, f"Rank-{k}"] == f"{expected[f'{name}/rank{k}']:.2f}"


def test_ranks_are_not_found_again(tmp_path, monkeypatch):
  """Table, pairs of views and CMC are read from the same ranks."""
  calls = []
  for name in ("first_matches", "first_matches_by_view", "all_matches"):
    found = getattr(ranker_lib.Ranker, name)

    def count(self, *args, found=found):
      calls.append(args)
      return found(self, *args)

    monkeypatch.setattr(ranker_lib.Ranker, name, count)
  for protocol, expected in (("casiab", 3), ("ccpg", 8), ("grew", 1)):
    labels, options = suited(protocol)
    pages.write(tmp_path / "7.html", protocol, labels, options=options)
    assert len(calls) == expected, protocol
    calls.clear()


def test_nothing_comes_from_outside(tmp_path):
  metrics = tmp_path / "metrics.jsonl"
  lines = [{"step": s, "train/loss": 9 / s} for s in (1, 2, 3)]
  metrics.write_text("\n".join(map(json.dumps, lines)))
  page = pages.write(
    tmp_path / "7.html", "casiab", suited("casiab")[0], metrics_path=metrics
  )
  assert page.images
  for reference in page.references:
    assert reference.startswith(("data:image/png;base64,", "#"))
  assert not page.tags & {"script", "link", "iframe", "object", "base"}
  assert not re.search(r"https?://|url\(|@import|//\w+\.\w", page.source)
  anchors = [r[1:] for r in page.references if r.startswith("#")]
  assert anchors == page.sections


def test_names_are_escaped(tmp_path):
  evil = """<script>alert("1&2")</script>'$_{^\\"""
  subjects = np.char.add(evil * 2, GREW.subjects)
  page = pages.write(
    tmp_path / "7.html",
    "grew",
    dataclasses.replace(GREW, subjects=subjects),
    metadata={"model": evil, evil: "x", "command": evil},
    verification=(
      verification_lib.Verification(evil, 3.0, (), curve([0.1, 1], [0.5, 1])),
    ),
  )
  assert "script" not in page.tags
  assert page.text.count(evil) >= 10
  assert "<script" not in page.source.replace("&lt;script", "")


def test_charts_lie_beside_the_page_and_suit_its_theme(tmp_path):
  page = pages.write(tmp_path / "7.html", "grew", GREW)
  by_class = {i.get("class"): i["src"] for i in page.images if "class" in i}
  light, dark = (
    base64.b64decode(by_class[kind].partition(",")[2])
    for kind in ("light", "dark")
  )
  assert (tmp_path / "7" / "cmc.png").read_bytes() == light
  corner = [image.imread(io.BytesIO(x))[0, 0, :3].mean() for x in (light, dark)]
  assert corner[0] == 1
  assert corner[1] < 0.2


def test_strips_are_those_of_the_rows(tmp_path):
  # Found at rank 3: the second b at 26 meets d, c, b.
  line = np.array([0.0, 10, 20, 30, 0.5, 10.2, 19.9, 22.0, 26.0])
  labels = evaluation.Labels.of(
    list("abcdabcdb"), ["01"] * 4 + ["02"] * 5, list("012345678")
  )
  embeddings = line[:, None, None].astype(np.float32)
  page = pages.write(tmp_path / "7.html", "grew", labels, embeddings=embeddings)
  pictures = [i for i in page.images if "class" not in i]
  kinds = [kind for kind, _ in page.rows]
  # The worst probe: two wrong ones ahead of the right one, then the others.
  assert kinds[:4] == ["probe", "wrong", "wrong", "right"]
  rows = zip(page.rows[:4], pictures[:4], (8, 3, 2, 1), strict=True)
  for (_, texts), picture, row in rows:
    name = labels.names[row]
    assert name in " ".join(texts)
    assert picture["alt"] == f"8 silhouettes of {name}"
    png = base64.b64decode(picture["src"].partition(",")[2])
    pixels = np.round(255 * image.imread(io.BytesIO(png))[..., 0])
    step = pages.WIDTH + 1  # a line between frames
    for k, frame in enumerate(pages.strips(row, FRAMES)):
      part = pixels[:, k * step : k * step + pages.WIDTH]
      np.testing.assert_array_equal(part, frame)
  assert "rank 3" in " ".join(page.rows[3][1])


def test_without_silhouettes_names_are_shown(tmp_path):
  page = pages.write(
    tmp_path / "7.html", "grew", GREW, strips=lambda row, frames: None
  )
  assert "No silhouettes were at hand" in page.text
  assert page.rows
  assert all("class" in i for i in page.images)


def test_figures_that_there_cannot_be(tmp_path):
  labels = sets.cross(["a", "b"], ["nm-01", "nm-05"], ["90"])
  nan = float("nan")
  page = pages.write(
    tmp_path / "7.html",
    "casiab",
    labels,
    embeddings=sets.embed(labels, spread=0.1),
    verification=(
      verification_lib.Verification("NM", nan, (), curve([nan], [nan])),
    ),
  )
  shown = page.figures(0)
  assert shown["NM", "Rank-1"] == "–"
  assert shown["NM", "Rank-1, identical view"] == "100.00"
  assert "A dash is" in page.text
  assert "Nothing to verify" in page.text
  assert "nan" not in page.text.lower().split()
  # One pair of views is no map; nobody is compared with anybody.
  assert "pairs" not in page.sections
  assert "Without any right item to find: 2 in NM" in page.text
  assert "No probe has a right item among" in page.text


def test_dash_is_explained_only_where_there_is_one(tmp_path):
  assert "A dash" not in pages.write(tmp_path / "7.html", "grew", GREW).text


def test_strangers_in_the_gallery(tmp_path):
  subjects = np.where(
    GREW.conditions == "02",
    np.char.add("q", GREW.subjects),
    GREW.subjects,
  )
  labels = dataclasses.replace(GREW, subjects=subjects)
  page = pages.write(tmp_path / "7.html", "grew", labels)
  assert "Without any right item to find: 6 in all" in page.text
  assert not page.rows


def test_training_curves(tmp_path):
  path = tmp_path / "metrics.jsonl"
  rows = [
    {"step": 1, "train/loss": 4.0, "train/accuracy": 0.25},
    {"step": 2, "train/loss": None, "train/accuracy": 0.5},
    {"step": 2, "eval/all/rank1": 30.0, "eval/all/mAP": 20.0},
    {"step": 3, "train/loss": 2.0, "train/learning_rate": 0.1},
    {"step": 4, "eval/all/rank1": 40.0},
  ]
  path.write_text("\n".join(map(json.dumps, rows)))
  page = pages.write(tmp_path / "7.html", "grew", GREW, metrics_path=path)
  assert page.sections[-1] == "training"
  drawn = {p.name for p in (tmp_path / "7").glob("training_*")}
  # One value of the learning rate is no curve.
  assert drawn == {f"training_{x}.png" for x in ("losses", "eval", "accuracy")}
  alts = [i["alt"] for i in page.images]
  assert any("accuracy 50" in alt for alt in alts)
  assert any("all/rank1 40" in alt and "all/mAP 20" in alt for alt in alts)


def test_other_settings_are_marked_in_the_curves(tmp_path):
  path = tmp_path / "metrics.jsonl"
  rows = [{"step": s, "train/loss": 4.0 / s} for s in (1, 2, 3, 4)]
  path.write_text("\n".join(map(json.dumps, rows)))

  def page(name):
    return pages.write(tmp_path / name, "grew", GREW, metrics_path=path)

  def chart(name):
    return (tmp_path / name / "training_losses.png").read_bytes()

  before = page("1.html")
  assert "resumed" not in before.source
  workdir_lib.write_config(tmp_path, {"seed": 0}, None, {})
  workdir_lib.write_config(tmp_path, {"seed": 0}, 1, {})
  assert "resumed" not in page("2.html").source
  assert chart("2") == chart("1")
  changed = {"seed": (0, 1), "batch.sequences": (4, 8)}
  workdir_lib.write_config(tmp_path, {"seed": 1}, 2, changed)
  marked = page("3.html")
  said = "resumed with other settings (seed, batch.sequences)"
  assert f"Step 2: {said}." in marked.text
  (alt,) = {i["alt"] for i in marked.images if "losses" in i["alt"]}
  assert f"{said} at step 2" in alt
  assert chart("3") != chart("1")


def test_what_is_left_out_is_said(tmp_path):
  whole = pages.write(tmp_path / "7.html", "grew", GREW)
  assert "left_out" not in whole.sections
  idle = "<q>"
  labels = sets.cross(["1", "2"], ["01", "02", idle], ["x"])
  page = pages.write(tmp_path / "7.html", "grew", labels)
  assert page.sections[:2] == ["results", "left_out"]
  assert "2 sequences from every figure" in page.text
  assert f"(1-{idle}-x, 2-{idle}-x)" in page.text
  assert "q" not in page.tags


def test_without_a_log_there_are_no_curves(tmp_path):
  page = pages.write(
    tmp_path / "7.html",
    "grew",
    GREW,
    metrics_path=tmp_path / "none.jsonl",
  )
  assert "training" not in page.sections


def test_metadata_and_counts(tmp_path):
  metadata = {"data set": "walkers", "model": "m", "step": "1000"}
  page = pages.write(
    tmp_path / "7.html",
    "grew",
    GREW,
    metadata=metadata | {"command": "run me"},
  )
  pairs = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page.source)
  assert pairs[:3] == list(metadata.items())
  counts = {"sequences": "12", "subjects": "6", "probes": "6", "gallery": "6"}
  assert pairs[3:] == list(
    ({"protocol": "grew", "metric": "euclidean"} | counts).items()
  )
  assert "<title>m on walkers</title>" in page.source
  assert "<pre>run me</pre>" in page.source


def test_unknown_protocol(tmp_path):
  with pytest.raises(errors.UserError, match="'grw'; give one of casiab"):
    pages.write(tmp_path / "7.html", "grw", GREW)


def test_many_views_and_long_names(tmp_path):
  views = [f"{i:02d}{'camera' * 9}" for i in range(16)]
  labels = sets.cross(["a", "b"], ["00", "01"], views)
  page = pages.write(tmp_path / "7.html", "oumvlp", labels)
  (alt,) = {i["alt"] for i in page.images if i["alt"].startswith("Heat map")}
  low, high = re.search(r"([\d.]+) to ([\d.]+) percent", alt).groups()
  protocol = protocols.PROTOCOLS["oumvlp"]
  chosen = evaluation.Embedded(sets.embed(labels), labels)
  (ranks,) = scoring.evaluate(protocol, chosen).ranks
  values = protocol.view_pairs(ranks).rank1
  assert (float(low), float(high)) == (values.min(), values.max())
  # More views than a table can show; the figures are in the first one.
  assert "views" not in page.sections


def test_nothing_is_half_written(tmp_path):
  def fail(row, frames):
    raise errors.UserError("the silhouettes are gone")

  path = tmp_path / "eval" / "7.html"
  with pytest.raises(errors.UserError, match="gone"):
    pages.write(path, "grew", GREW, strips=fail)
  assert not list(tmp_path.iterdir())
  pages.write(path, "grew", GREW)
  before = path.read_bytes()
  with pytest.raises(errors.UserError, match="gone"):
    pages.write(path, "grew", GREW, strips=fail)
  assert path.read_bytes() == before
  names = {p.name for p in tmp_path.rglob("*")}
  assert names == {"eval", "7", "7.html", "cmc.png"}


def test_a_folder_that_cannot_be_written(tmp_path):
  (tmp_path / "eval").write_text("a file")
  with pytest.raises(errors.UserError, match="cannot be written") as e:
    pages.write(tmp_path / "eval" / "7.html", "grew", GREW)
  assert "\n" not in str(e.value)


def test_failing_on_the_way_leaves_the_old_page(tmp_path):
  pages.write(tmp_path / "7.html", "grew", GREW)
  before = (tmp_path / "7.html").read_bytes()
  # A folder where a chart should go cannot be replaced by it.
  chart = tmp_path / "7" / "cmc.png"
  chart.unlink()
  chart.mkdir()
  with pytest.raises(errors.UserError, match="cannot be written"):
    pages.write(tmp_path / "7.html", "grew", GREW, metadata={"step": "8"})
  assert (tmp_path / "7.html").read_bytes() == before
  assert {p.name for p in tmp_path.rglob("*")} == {"7", "7.html", "cmc.png"}
