"""The variants of a config file: what they change, and what to expect."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
import difflib
from importlib import machinery
import inspect
import os
import pathlib
import textwrap
import traceback
from types import ModuleType

from ml_collections import ConfigDict

from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import storage
from gaitkd_jax.config import defaults

NOT_MEASURED = "not measured"
# Sources of figures that are not from here.
OPENGAIT = "OpenGait's documentation"
OPENGAIT_GREW = (
  "OpenGait's documentation, on GREW's own test, whose labels are not public; "
  "here the labelled test subjects are searched, which is easier"
)
OPENGAIT_HID = (
  "OpenGait's documentation, on the server of HID 2022, whose labels are not "
  "public, with frames of 128 x 88 pixels; here they have 64 x 44"
)
GAITKD = "GaitKD's paper (arXiv 2604.26255), as others quote it"
FOUNDATIONGAIT = "FoundationGait's paper (arXiv 2512.00691), its abstract"
_PUBLISHED = {OPENGAIT, OPENGAIT_GREW, OPENGAIT_HID, GAITKD, FOUNDATIONGAIT}
_WIDTH = 80
_LISTED = 12  # variants that an error message lists in full


@dataclasses.dataclass(frozen=True)
class Variant:
  """One recipe of a config file, and what to expect of it.

  Attributes:
    recipe: makes the config.
    expected: the figure to expect; `NOT_MEASURED` where none is known.
    source: who measured it, and how if that is not what runs here; empty where
      no figure is known.
    about: what the name does not say.
  """

  recipe: Callable[[], ConfigDict]
  expected: str = NOT_MEASURED
  source: str = ""
  about: str = ""


Help = errors.Help


def select(
  doc: str | None, variants: Mapping[str, Variant], variant: str
) -> ConfigDict:
  """Makes the config that `--config=<file>:<variant>` asks for.

  Args:
    doc: the docstring of the config file, the beginning of its help.
    variants: all of the file by name; the first is its default.
    variant: a name, empty for the default; with "_smoke" behind it, or "smoke"
      alone, a trial of three steps; "help" for the list of all.

  Raises:
    Help: if that is what was asked for.
    errors.UserError: unknown variant.
  """
  if variant == "help":
    raise Help(describe(doc or "", variants))
  default = next(iter(variants))
  trial = variant == "smoke" or variant.endswith("_smoke")
  name = variant.removesuffix("smoke").removesuffix("_") if trial else variant
  if name and name not in variants:
    raise errors.UserError(_unknown(variant, variants))
  c = variants[name or default].recipe()
  if trial:
    smoke(c)
  return c


def load(path: str | os.PathLike[str], variant: str = "") -> ConfigDict:
  """Reads a config file, as `--config=<path>:<variant>` does.

  Raises:
    Help: see `select`.
    errors.UserError: no such file, a mistake in it, or unknown variant.
  """
  module = load_module(path)
  if not callable(getattr(module, "get_config", None)):
    raise errors.UserError(
      f"{path} has no function get_config(variant); name one of configs/, or "
      "write it as these do"
    )
  with _mistakes_of(path):
    # A file without variants may have a function without an argument.
    takes = inspect.signature(module.get_config).parameters
    if variant and not takes:
      raise errors.UserError(
        f"{path} has no variants; leave out the colon and {variant!r}"
      )
    c = module.get_config(*([variant] if takes else []))
  if not isinstance(c, ConfigDict):
    raise errors.UserError(
      f"get_config of {path} returns {type(c).__name__}, which is no ConfigDict"
    )
  return c


def load_module(path: str | os.PathLike[str]) -> ModuleType:
  """Runs a config file and returns its module.

  Raises:
    errors.UserError: no such file, or a mistake in it.
  """
  path = pathlib.Path(path)
  if path.suffix != ".py" or not path.is_file():
    why = "a folder" if path.is_dir() else "not a file <name>.py"
    if not path.exists():
      why = "it does not exist"
    if str(path) in storage.EXTRAS:  # what absl leaves of gs://...
      why = "config files are read from the disk"
    raise errors.UserError(
      f"{path} is no config file ({why}); name one of the files in configs/"
    )
  loader = machinery.SourceFileLoader(path.stem, str(path))
  module = ModuleType(loader.name)
  module.__file__ = loader.path  # from which some find the shipped teachers
  with _mistakes_of(path):
    loader.exec_module(module)
  return module


@contextlib.contextmanager
def _mistakes_of(path: str | os.PathLike[str]) -> Iterator[None]:
  """Names the line of a config file that fails.

  What fails inside this package without being a `UserError` is a bug of ours,
  and passes.
  """
  try:
    yield
  except (Help, errors.UserError):
    raise
  except SyntaxError as e:
    raise errors.UserError(
      f"{path}, line {e.lineno}, is not Python: {e.msg}"
    ) from e
  except (OSError, UnicodeDecodeError) as e:
    raise errors.UserError(f"{path} cannot be read: {e}") from e
  except Exception as e:
    frames = traceback.extract_tb(e.__traceback__)
    own = pathlib.Path(__file__).parent.parent
    lines = [f.lineno for f in frames if f.filename == str(path)]
    if not lines or own in pathlib.Path(frames[-1].filename).parents:
      raise
    raise errors.UserError(
      f"{path}, line {lines[-1]}, fails: {type(e).__name__}: {e}"
    ) from e


def smoke(c: ConfigDict) -> None:
  """Turns any config into a trial of three steps and a few seconds."""
  values = dict(frames=6, skip=2, min_frames=4, max_frames=6)
  for key in defaults.CLIP_KEYS[c.clip.kind]:
    c.clip[key] = values[key]
  c.batch.identities, c.batch.sequences = 2, 4
  c.train.steps, c.train.log_every, c.train.checkpoint_every = 3, 1, 2
  c.eval.batch_size = 8
  c.eval.max_frames = 12
  c.eval.report = False
  for model in defaults.networks_of(c):
    model.update(models.create_model(model).smoke_size)
  c.train.init_from = ""
  for t in c.teachers.values():
    del t.checkpoint  # a reference to another key, maybe
    imported = t.model.get("name") == defaults.IMPORTED
    t.checkpoint = "" if imported else defaults.RANDOM
  for source in (c.data, c.eval.data):
    if len(source):
      source.variant, source.partition = "tiny", "halves"


def describe(doc: str, variants: Mapping[str, Variant]) -> str:
  """The text of `:help`: the file's docstring, and every variant's figure."""
  lines = [
    doc.strip(),
    "",
    "Variants. With _smoke behind its name each runs three steps on any few",
    "subjects; smoke alone is that of the first, the default.",
  ]
  unknown = []
  for i, (name, variant) in enumerate(variants.items()):
    if i and variant.expected == NOT_MEASURED and not variant.about:
      unknown.append(name)
      continue
    lines += ["", f"  {_title(name, default=not i)}"]
    lines += _wrapped(variant.about)
    lines += _wrapped(variant.expected)
    lines += _wrapped(f"source: {variant.source}" if variant.source else "")
  if unknown:
    lines += ["", f"  {NOT_MEASURED}:", *_wrapped(", ".join(unknown))]
  if {v.source for v in variants.values()} & _PUBLISHED:
    lines += ["", "Figures of OpenGait and of papers were not measured here."]
  return "\n".join(lines)


def _title(name: str, default: bool) -> str:
  if not name:
    return "(without a variant)"
  return f"{name} (also without a variant)" if default else name


def _wrapped(text: str) -> list[str]:
  return textwrap.wrap(
    text,
    _WIDTH,
    initial_indent=" " * 4,
    subsequent_indent=" " * 4,
    break_on_hyphens=False,
  )


def _unknown(variant: str, variants: Mapping[str, Variant]) -> str:
  names = [name for name in variants if name]
  if not names:
    listed = "it has smoke only"
  elif len(names) <= _LISTED:
    listed = f"it has {', '.join(names)}, and each with _smoke behind it"
  else:
    near = difflib.get_close_matches(variant, names, n=4, cutoff=0.0)
    listed = f"of its {len(names)} the nearest are {', '.join(near)}"
  return (
    f"the config has no variant {variant!r}; {listed}; the variant help "
    "(--config=<file>:help) lists all"
  )
