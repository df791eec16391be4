"""README and docs: short, each thing once, and all that they name exists."""

import collections
import importlib
import re

import pytest

from gaitkd_jax import main
from tests import test_architecture
from tests.helpers import configs
from tests.helpers.paths import ROOT

PAGES = sorted(
  [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/*.md"),
    *ROOT.glob("data_pipelines/*/README.md"),
  ]
)
# Written by scripts/study.py, with the notes inside.
GENERATED = {
  "study.md",
  "study_quantisation.md",
  "study_quantisation_wide.md",
  "study_teaching.md",
  "study_teaching_deepgaitv2.md",
  "study_teaching_search.md",
  "study_teaching_wide.md",
}


def by_page(pages=PAGES):
  return pytest.mark.parametrize(
    "page", pages, ids=lambda p: str(p.relative_to(ROOT))
  )


def commands(text):
  """The command lines of a page, each on one line."""
  return [
    line
    for line in text.replace("\\\n", " ").splitlines()
    if re.search(r"python -m |python scripts/|bash ", line)
  ]


def anchor(heading):
  """The name by which a link finds a heading."""
  kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
  return kept.replace(" ", "-")


def anchors(page):
  return {anchor(h) for h in re.findall(r"^#+ (.*)$", page.read_text(), re.M)}


def prose(page):
  """The sentences of a page: no code, no tables, no headings."""
  text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
  lines = [
    re.sub(r"^\s*(-|\d\.) ", "", line)
    for line in text.splitlines()
    if line.strip() and not line.startswith(("|", "#", "!["))
  ]
  return re.split(r"(?<=[.:;]) ", " ".join(lines))


def test_readme_fits_on_a_page():
  assert len((ROOT / "README.md").read_bytes()) <= 6000


@by_page()
def test_links_lead_somewhere(page):
  links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
  for link in links:
    if link.startswith(("http://", "https://")):
      continue
    path, _, heading = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    assert target.exists(), link
    assert not heading or heading in anchors(target), link


def test_every_page_is_linked_from_the_readme_or_a_page_of_docs():
  linked = {
    (page.parent / link.partition("#")[0]).resolve()
    for page in PAGES
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    if not link.startswith("http")
  }
  assert {p for p in PAGES if p.name != "README.md"} <= linked


def test_no_sentence_stands_twice():
  places = collections.defaultdict(list)
  for page in PAGES:
    # Every data set's README stands alone, since TFDS shows it by itself.
    if page.parent.parent.name == "data_pipelines" or page.name in GENERATED:
      continue
    for sentence in prose(page):
      if len(sentence) > 60:
        places[sentence].append(page.name)
  twice = {s: names for s, names in places.items() if len(names) > 1}
  assert len(places) > 50
  assert not twice


@by_page()
def test_configs_that_are_named_exist(page):
  text = page.read_text()
  for path, variant in re.findall(r"\b(configs/\w+\.py)(?::(\w+))?", text):
    if variant == "help":
      variant = ""
    configs.load(path.removeprefix("configs/").removesuffix(".py"), variant)


@by_page()
def test_keys_that_are_set_exist(page):
  for line in commands(page.read_text()):
    named = re.search(r"--config=configs/(\w+)\.py(?::(\w+))?", line)
    keys = re.findall(r"--config\.([\w.]+)=", line)
    if not named or not keys:
      continue
    _, config = configs.load(named[1], named[2] or "")
    for key in keys:
      value = config
      for name in key.split("."):
        assert name in value, f"{key} in: {line}"
        value = value[name]


@by_page()
def test_programs_that_are_named_exist(page):
  text = page.read_text()
  for module in re.findall(r"python -m ([\w.]+)", text):
    assert importlib.util.find_spec(module), module
  for script in re.findall(r"\b(?:scripts|\.ci)/[\w.]+", text):
    assert (ROOT / script).exists(), script
  for mode in re.findall(r"--mode=(\w+)", text):
    assert mode in main.MODES, mode


@by_page()
def test_files_that_are_named_exist(page):
  named = re.findall(
    r"`((?:gaitkd_jax|data_pipelines|tests|examples|docs|shipped_teachers)/"
    r"[\w./]*)`",
    page.read_text(),
  )
  for path in named:
    assert (ROOT / path).exists(), path


@by_page()
def test_names_that_are_given_exist(page):
  for name in re.findall(r"`(gaitkd_jax\.[\w.]+)", page.read_text()):
    module, parts = "gaitkd_jax", name.split(".")[1:]
    found = importlib.import_module(module)
    for part in parts:
      module = f"{module}.{part}"
      if not hasattr(found, part):
        importlib.import_module(module)
      found = getattr(found, part)


def python_blocks():
  """The blocks of code that stand alone."""
  for page in PAGES:
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S)
    for i, block in enumerate(blocks):
      if block.startswith("import ") and "prepared" not in block:
        yield pytest.param(block, id=f"{page.name}-{i}")


@pytest.mark.parametrize("block", list(python_blocks()))
def test_python_runs(block, capsys):
  exec(block, {})
  assert capsys.readouterr().out


def test_the_layers_are_those_of_the_code():
  text = (ROOT / "docs" / "architecture.md").read_text()
  block = re.search(r"^```\n(main\n.*?)^```", text, re.M | re.S)[1]
  layers = [tuple(line.split()) for line in block.splitlines()]
  assert tuple(reversed(layers)) == test_architecture.LAYERS
