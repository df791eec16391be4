"""The page of an evaluation: its figures, its probes, nothing from outside."""

import base64
import dataclasses
import html.parser
import io
import json
import re

from matplotlib import image
import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.evaluation import report
from gaitkd_jax.evaluation.protocols import PROTOCOLS
from gaitkd_jax.evaluation.protocols import ranks
from gaitkd_jax.evaluation.report import charts

FRAMES, HEIGHT, WIDTH = 8, 6, 4


class Page(html.parser.HTMLParser):
  """Tables, images, references and text of a page."""

  def __init__(self, path):
    super().__init__()
    self.tables, self.images, self.references = [], [], []
    self.tags, self.texts, self.sections, self.rows = set(), [], [], []
    self._cell = None
    self.source = path.read_text()
    self.feed(self.source)

  def handle_starttag(self, tag, attrs):
    attrs = dict(attrs)
    self.tags.add(tag)
    if tag == "table":
      self.tables.append([])
    elif tag == "tr":
      self.tables[-1].append([])
    elif tag in ("td", "th"):
      self._cell = ""
    elif tag == "img":
      self.images.append(attrs)
    elif tag == "section":
      self.sections.append(attrs["id"])
    elif tag == "li":
      self.rows.append((attrs["class"], []))
    for name in ("src", "href", "srcset", "action", "data", "poster"):
      if name in attrs:
        self.references.append(attrs[name])

  def handle_endtag(self, tag):
    if tag in ("td", "th"):
      self.tables[-1][-1].append(self._cell)
      self._cell = None

  def handle_data(self, data):
    self.texts.append(data)
    if self._cell is not None:
      self._cell += data
    if self.rows:
      self.rows[-1][1].append(data)

  @property
  def text(self):
    return " ".join(self.texts)

  def figures(self, index):
    """Text by (row, heading) of a table."""
    head, *rows = self.tables[index]
    return {
      (row[0], heading): cell
      for row in rows
      for heading, cell in zip(head[1:], row[1:], strict=True)
    }


def strips(row, frames):
  """Frames that tell the sequence and the frame."""
  tones = (20 * (row % 11) + np.arange(frames)).astype(np.uint8)
  return np.broadcast_to(tones[:, None, None], (frames, HEIGHT, WIDTH)).copy()


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
  """Few pixels: most of the time of a chart goes into them."""
  monkeypatch.setattr(charts, "_SCALE", 0.5)


def cross(subjects, conditions, views):
  rows = [(s, c, v) for s in subjects for c in conditions for v in views]
  return tuple(np.array(x) for x in zip(*rows, strict=True))


def embed(labels, spread=1.0):
  generator = np.random.Generator(np.random.Philox(7))
  codes = generator.normal(size=(100, 2, 3))
  own = codes[np.unique(labels[0], return_inverse=True)[1]]
  noise = generator.normal(size=(len(labels[0]), 2, 3))
  return (own + spread * noise).astype(np.float32)


def write(path, protocol, labels, **changes):
  """Writes a page of embeddings that follow from the labels alone."""
  embeddings = changes.pop("embeddings", None)
  embeddings = embed(labels) if embeddings is None else embeddings
  options = changes.pop("options", {})
  if "results" not in changes:
    ranker = ranks.Ranker(embeddings, labels[0], "euclidean")
    changes["results"] = PROTOCOLS[protocol](ranker, *labels, **options)
  arguments = {
    "protocol": protocol,
    "embeddings": embeddings,
    "subjects": labels[0],
    "conditions": labels[1],
    "views": labels[2],
    "metric": "euclidean",
    "options": options,
    "roc": {},
    "verification": {},
    "strips": strips,
    "metrics_path": None,
    "facts": {},
  }
  return Page(report.write(path, **(arguments | changes)))


GREW = cross([f"{i:03d}" for i in range(6)], ["01", "02"], ["x"])


def sets(protocol):
  """A small set that suits a protocol."""
  scorer = PROTOCOLS[protocol]
  searches = getattr(scorer, "searches", {})
  names = [c for s in searches.values() for c in (*s.probes, *s.gallery)]
  labels = cross(
    ["a", "b", "c"], sorted(set(names)) or ["k", "l"], ["00", "90"]
  )
  names = ["-".join(x) for x in zip(*labels, strict=True)]
  lists = {"probes": names[::2], "gallery": names[1::2]}
  known = scorer.options
  return labels, {name: lists[name] for name in known if name in lists}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_has_a_page(tmp_path, protocol):
  labels, options = sets(protocol)
  page = write(tmp_path / "7.html", protocol, labels, options=options)
  trials = PROTOCOLS[protocol].trials(*labels, **options)
  maps = {p.name for p in (tmp_path / "7").glob("views_*.png")}
  if hasattr(PROTOCOLS[protocol], "pairs"):
    assert maps == {f"views_{trial.name}.png" for trial in trials}
  else:
    assert not maps
  assert ("pairs" in page.sections) == bool(maps)
  for name in ("results", "cmc", "probes"):
    assert name in page.sections
  assert f"{len(labels[0])}" in page.text


def test_figures_are_those_given(tmp_path):
  labels = sets("casiab")[0]
  figures = ("rank1", "rank1_identical_view", "rank1_all_views", "mAP")
  results = {
    f"{name}/{figure}": 10 * i + j + 0.126
    for i, name in enumerate(("NM", "CL", "mean"))
    for j, figure in enumerate(figures)
  }
  del results["CL/mAP"]
  results |= {"NM/view/00": 77.777, "CL/view/90": 66.666}
  verification = {
    "NM/EER": 1.234,
    "NM/TAR@FAR=0.01": 98.765,
    "NM/threshold@FAR=0.01": 0.0123456,
  }
  rate = np.linspace(0, 1, 9)
  page = write(
    tmp_path / "7.html",
    "casiab",
    labels,
    results=results,
    verification=verification,
    roc={"NM": (rate, rate**0.5)},
  )
  shown = page.figures(0)
  headings = ("Rank-1", "Rank-1, identical view", "Rank-1, all views", "mAP")
  for name in ("NM", "CL", "mean"):
    for figure, heading in zip(figures, headings, strict=True):
      value = results.get(f"{name}/{figure}")
      expected = "" if value is None else f"{value:.2f}"
      assert shown[name, heading] == expected
  assert page.figures(1)["NM", "00"] == "77.78"
  assert page.figures(1)["CL", "90"] == "66.67"
  assert page.figures(1)["CL", "mean"] == "10.13"
  assert page.figures(3) == {
    ("NM", "EER"): "1.23",
    ("NM", "TAR at FAR 0.01"): "98.770.01235",
  }
  assert "<strong>20.13<" in page.source  # mean/rank1, the main figure
  assert (tmp_path / "7" / "roc.png").exists()


def test_cmc_is_the_protocols_own(tmp_path):
  conditions = ("nm-01", "nm-05", "bg-01", "cl-01")
  labels = cross([f"{i:03d}" for i in range(12)], conditions, ["00", "90"])
  embeddings = embed(labels, spread=3)
  page = write(tmp_path / "7.html", "casiab", labels, embeddings=embeddings)
  ranker = ranks.Ranker(embeddings, labels[0], "euclidean")
  more = dataclasses.replace(PROTOCOLS["casiab"], ranks=(1, 4, 5, 6, 10))
  expected = more(ranker, *labels)
  ordered = [expected[f"mean/rank{k}"] for k in more.ranks]
  assert ordered == sorted(set(ordered))
  shown = page.figures(2)
  for name in ("NM", "BG", "CL", "mean"):
    for k in (1, 5, 10):
      assert shown[name, f"Rank-{k}"] == f"{expected[f'{name}/rank{k}']:.2f}"


def test_nothing_comes_from_outside(tmp_path):
  metrics = tmp_path / "metrics.jsonl"
  lines = [{"step": s, "train/loss": 9 / s} for s in (1, 2, 3)]
  metrics.write_text("\n".join(map(json.dumps, lines)))
  page = write(
    tmp_path / "7.html", "casiab", sets("casiab")[0], metrics_path=metrics
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
  subjects, conditions, views = GREW
  subjects = np.char.add(evil * 2, subjects)
  page = write(
    tmp_path / "7.html",
    "grew",
    (subjects, conditions, views),
    facts={"model": evil, evil: "x", "command": evil},
    roc={evil: (np.array([0.1, 1]), np.array([0.5, 1]))},
    verification={f"{evil}/EER": 3.0},
  )
  assert "script" not in page.tags
  assert page.text.count(evil) >= 10
  assert "<script" not in page.source.replace("&lt;script", "")


def test_charts_lie_beside_the_page_and_suit_its_theme(tmp_path):
  page = write(tmp_path / "7.html", "grew", GREW)
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
  labels = tuple(
    np.array(x)
    for x in (list("abcdabcdb"), ["01"] * 4 + ["02"] * 5, list("012345678"))
  )
  embeddings = line[:, None, None].astype(np.float32)
  page = write(tmp_path / "7.html", "grew", labels, embeddings=embeddings)
  pictures = [i for i in page.images if "class" not in i]
  kinds = [kind for kind, _ in page.rows]
  # The worst probe: two wrong ones ahead of the right one, then the others.
  assert kinds[:4] == ["probe", "wrong", "wrong", "right"]
  rows = zip(page.rows[:4], pictures[:4], (8, 3, 2, 1), strict=True)
  for (_, texts), picture, row in rows:
    name = "-".join(column[row] for column in labels)
    assert name in " ".join(texts)
    assert picture["alt"] == f"8 silhouettes of {name}"
    png = base64.b64decode(picture["src"].partition(",")[2])
    pixels = np.round(255 * image.imread(io.BytesIO(png))[..., 0])
    step = WIDTH + 1  # a line between frames
    for k, frame in enumerate(strips(row, FRAMES)):
      part = pixels[:, k * step : k * step + WIDTH]
      np.testing.assert_array_equal(part, frame)
  assert "rank 3" in " ".join(page.rows[3][1])


def test_without_silhouettes_names_are_shown(tmp_path):
  page = write(
    tmp_path / "7.html", "grew", GREW, strips=lambda row, frames: None
  )
  assert "No silhouettes were at hand" in page.text
  assert page.rows
  assert all("class" in i for i in page.images)


def test_figures_that_there_cannot_be(tmp_path):
  labels = cross(["a", "b"], ["nm-01", "nm-05"], ["90"])
  nan = float("nan")
  page = write(
    tmp_path / "7.html",
    "casiab",
    labels,
    embeddings=embed(labels, spread=0.1),
    roc={"NM": (np.array([nan]), np.array([nan]))},
    verification={"NM/EER": nan},
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
  assert "A dash" not in write(tmp_path / "7.html", "grew", GREW).text


def test_strangers_in_the_gallery(tmp_path):
  subjects, conditions, views = GREW
  subjects = np.where(conditions == "02", np.char.add("q", subjects), subjects)
  page = write(tmp_path / "7.html", "grew", (subjects, conditions, views))
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
  page = write(tmp_path / "7.html", "grew", GREW, metrics_path=path)
  assert page.sections[-1] == "training"
  drawn = {p.name for p in (tmp_path / "7").glob("training_*")}
  # One value of the learning rate is no curve.
  assert drawn == {f"training_{x}.png" for x in ("losses", "eval", "accuracy")}
  alts = [i["alt"] for i in page.images]
  assert any("accuracy 50" in alt for alt in alts)
  assert any("all/rank1 40" in alt and "all/mAP 20" in alt for alt in alts)


def test_without_a_log_there_are_no_curves(tmp_path):
  page = write(
    tmp_path / "7.html", "grew", GREW, metrics_path=tmp_path / "none.jsonl"
  )
  assert "training" not in page.sections


def test_facts_and_counts(tmp_path):
  facts = {"data set": "walkers", "model": "m", "step": "1000"}
  page = write(
    tmp_path / "7.html", "grew", GREW, facts=facts | {"command": "run me"}
  )
  pairs = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page.source)
  assert pairs[:3] == list(facts.items())
  counts = {"sequences": "12", "subjects": "6", "probes": "6", "gallery": "6"}
  assert pairs[3:] == list(
    ({"protocol": "grew", "metric": "euclidean"} | counts).items()
  )
  assert "<title>m on walkers</title>" in page.source
  assert "<pre>run me</pre>" in page.source


def test_unknown_protocol(tmp_path):
  with pytest.raises(errors.UserError, match="'grw'; give one of casiab"):
    write(tmp_path / "7.html", "grw", GREW, results={})


def test_many_views_and_long_names(tmp_path):
  views = [f"{i:02d}{'camera' * 9}" for i in range(16)]
  labels = cross(["a", "b"], ["00", "01"], views)
  page = write(tmp_path / "7.html", "oumvlp", labels)
  (alt,) = {i["alt"] for i in page.images if i["alt"].startswith("Heat map")}
  low, high = re.search(r"([\d.]+) to ([\d.]+) percent", alt).groups()
  ranker = ranks.Ranker(embed(labels), labels[0], "euclidean")
  values = PROTOCOLS["oumvlp"].pairs(ranker, *labels)["all"][2]
  assert (float(low), float(high)) == (values.min(), values.max())
  # More views than a table can show; the figures are in the first one.
  assert "views" not in page.sections
