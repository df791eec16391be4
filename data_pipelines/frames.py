"""Reads the frames of one sequence, from images or from pickles."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import os
import re

import numpy as np

from data_pipelines import images
from data_pipelines import pickles
from data_pipelines import plausibility
from data_pipelines import remote
from data_pipelines import source as source_lib
from data_pipelines import tree
from gaitkd_jax.errors import UserError

# Sizes of frames that are pre-treated; see `pickles.mend_silhouettes`.
_NORMALISED = ((64, 64), (64, 44))


class EmptySequenceError(Exception):
  """A sequence cannot be used although nothing is damaged; says why."""


class DamagedFilesError(UserError):
  """Files of one sequence are damaged or refused.

  Attributes:
    findings: what is wrong with each, a sentence that names it.
  """

  def __init__(self, findings: Sequence[str]):
    super().__init__(" ".join(findings))
    self.findings = tuple(findings)


@dataclasses.dataclass(frozen=True)
class Reading:
  """What was read of one sequence.

  Attributes:
    arrays: the modalities by name: silhouettes uint8 [s, 64, 64] and heat maps
      uint8 [s, 2, 64, 64], s > 0.
    notes: what had to be mended, in words; empty for most.
    check: what the silhouettes look like.
  """

  arrays: Mapping[str, np.ndarray]
  notes: tuple[str, ...]
  check: plausibility.Check


def read_images(
  paths: Sequence[str | os.PathLike[str]],
  pretreat: Callable[[np.ndarray], np.ndarray | None],
  skip_damaged: bool = False,
) -> tuple[np.ndarray, tuple[str, ...]]:
  """Reads the frames of a sequence from images.

  Raw ones are pre-treated. Those of 64 x 64 or 64 x 44 pixels are taken as they
  are: pre-treating them a second time would shift half of them by a column or
  more, so that they would differ from those in OpenGait's pickles.

  Args:
    paths: PNG or JPEG files, in order.
    pretreat: see `source.Source`.
    skip_damaged: whether to go on without damaged files.

  Returns:
    uint8 [s, 64, 64], where frames that hold no person are black; and what had
    to be mended, see `plausibility`.

  Raises:
    DamagedFilesError: files are damaged; all of them are named.
    plausibility.ImplausibleError: they show no silhouettes.
  """
  impression, treatment = plausibility.Impression(), plausibility.AS_IT_IS
  damaged: list[str] = []
  contents = remote.contents(list(map(os.fspath, paths)))
  files = list(zip(paths, contents, strict=True))
  frames = _read_all(files, pretreat, treatment, impression, damaged)
  if damaged and not skip_damaged:
    raise DamagedFilesError(damaged)
  notes: tuple[str, ...] = ()
  if damaged:
    notes += (f"{len(damaged)} damaged files left out",)
  treatment = impression.treatment()
  if treatment.notes:
    # Rare, so that reading a second time costs less than keeping raw frames.
    frames = _read_all(files, pretreat, treatment)
  return frames, notes + treatment.notes


def _read_all(
  files: Sequence[tuple[str | os.PathLike[str], bytes | OSError | None]],
  pretreat: Callable[[np.ndarray], np.ndarray | None],
  treatment: plausibility.Treatment,
  impression: plausibility.Impression | None = None,
  damaged: list[str] | None = None,
) -> np.ndarray:
  """Reads images under a treatment; notes what they look like and damages."""
  frames = np.zeros((len(files), 64, 64), np.uint8)
  for (path, content), frame in zip(files, frames, strict=True):
    try:
      raw = images.read(path, content)
    except UserError as error:
      if damaged is not None:
        damaged.append(str(error))
      continue
    if impression is not None:
      impression.add(raw[None])
    raw = treatment.apply(raw)
    if raw.shape in _NORMALISED:
      side = (64 - raw.shape[1]) // 2
      frame[:, side : 64 - side] = raw
      continue
    if images.is_jpeg(path):
      # What JPEG adds around a person would widen the cut.
      raw = np.where(raw < 128, 0, 255).astype(np.uint8)
    if (cut := pretreat(raw)) is not None:
      frame[:] = cut
  return frames


def _says(name: str, word: str) -> bool:
  return word in re.sub("[^a-z]", "", name.lower())


def _wanted(
  pickled: Sequence[os.DirEntry],
  folder: tree.SequenceFolder,
  modality: str,
  wanted: str,
) -> str:
  """Returns the path of the pickle that the user chose for a modality."""
  if wanted.isdecimal():
    fitting = pickled[int(wanted) : int(wanted) + 1]
  else:
    fitting = [file for file in pickled if wanted in file.name]
  if len(fitting) != 1:
    raise UserError(
      f"{folder.path}: {modality}={wanted} of data.pickles fits {len(fitting)} "
      f"of {len(pickled)} pickles; give the index (from 0, by name) or a part "
      "of the name of one."
    )
  return fitting[0].path


def parse_choice(text: str) -> tuple[tuple[str, str], ...]:
  """Parses `data.pickles`, such as "silhouettes=6,heatmaps=heatmap".

  Returns:
    Pairs of a modality and of an index or a part of a name.

  Raises:
    UserError: the text is not of this form.
  """
  pairs = [item.partition("=") for item in text.split(",") if item]
  for modality, _, wanted in pairs:
    if modality not in ("silhouettes", "heatmaps") or not wanted:
      raise UserError(
        f"data.pickles is {text!r}; give silhouettes=<index or part of the "
        "name>, and heatmaps=<...> after a comma if they are wanted."
      )
  return tuple((modality, wanted) for modality, _, wanted in pairs)


def _choose(
  pickled: Sequence[os.DirEntry],
  folder: tree.SequenceFolder,
  source: source_lib.Source,
  modalities: Sequence[str],
) -> dict[str, str]:
  """Returns the paths of the pickles to read; see `read_sequence`."""
  found = {}
  named = {
    word: [file for file in pickled if _says(file.name, word)]
    for word in ("heatmap", "sil")
  }
  if "heatmaps" in modalities and len(named["heatmap"]) == 1:
    found["heatmaps"] = named["heatmap"][0].path
  for modality, wanted in source.pickles:
    if modality in modalities:
      found[modality] = _wanted(pickled, folder, modality, wanted)
  named_as_view = [f for f in pickled if f.name == f"{folder.view}.pkl"]
  pickled = [file for file in pickled if file not in named["heatmap"]]
  if "silhouettes" in found:
    pass
  elif named_as_view:
    found["silhouettes"] = named_as_view[0].path
  elif source.pickle_of and len(pickled) == source.pickle_of[1]:
    found["silhouettes"] = pickled[source.pickle_of[0]].path
  elif len(named["sil"]) == 1:
    found["silhouettes"] = named["sil"][0].path
  elif len(pickled) == 1:
    found["silhouettes"] = pickled[0].path
  elif (
    len(pickled) == 2 and "heatmaps" in modalities and "heatmaps" not in found
  ):
    # The order in which OpenGait's script links both into a folder.
    found["heatmaps"], found["silhouettes"] = (file.path for file in pickled)
  elif len(pickled) > 1:
    names = ", ".join(file.name for file in pickled)
    raise UserError(
      f"{folder.path}: holds {len(pickled)} pickles ({names}); keep one, or "
      f"name it {folder.view}.pkl."
    )
  return found


def read_sequence(
  folder: tree.SequenceFolder,
  source: source_lib.Source,
  modalities: Sequence[str] = ("silhouettes",),
) -> Reading:
  """Reads one sequence.

  If a folder holds a pickle and images, the pickle is read, because it was made
  from them. Black frames hold no person and are dropped from all modalities.
  What `plausibility` finds odd is mended or refused.

  If there are several pickles, `data.pickles` says which to read. Otherwise the
  heat maps are in the one whose name contains "heatmap". The silhouettes are in
  the one named `<view>.pkl`, else in the one at the place that the data set
  prescribes (`Source.pickle_of`), else in the one whose name contains "sil". If
  both are wanted and there are two pickles whose names say nothing, the heat
  maps come first.

  Args:
    folder: the sequence's folder, with PNG or JPEG files (raw ones are
      pre-treated, those of 64 x 64 or 64 x 44 pixels are taken as they are) or
      pickles.
    source: the data set.
    modalities: "silhouettes", and "heatmaps" if they are wanted.

  Returns:
    What was read.

  Raises:
    EmptySequenceError: there is no usable frame, or no heat maps of the frames,
      or these are no silhouettes.
    DamagedFilesError: files are damaged or refused.
    UserError: it is unclear which file to read.
  """
  try:
    files = tree.sequence_files(folder.path)
  except OSError as error:
    reason = f"{folder.path}: cannot be read ({error.strerror})"
    if source.skip_damaged:
      raise EmptySequenceError(reason) from None
    raise DamagedFilesError([f"{reason}; repair or delete it."]) from error
  if not files:
    raise EmptySequenceError("no PNG file and no pickle")
  pickled = [file for file in files if file.name.lower().endswith(".pkl")]
  drawn = [file.path for file in files if file not in pickled]
  pngs = [path for path in drawn if not images.is_jpeg(path)]
  found = _choose(pickled, folder, source, modalities)
  if "heatmaps" in modalities and "heatmaps" not in found:
    raise EmptySequenceError("no pickle of heat maps")
  arrays = {}
  try:
    if "silhouettes" in found:
      path = found["silhouettes"]
      values = pickles.load_array(path)
      frames, notes = pickles.mend_silhouettes(values, path)
    else:
      # Beside masks, JPG files are the photographs that they were made from.
      frames, notes = read_images(
        pngs or drawn, source.pretreat, source.skip_damaged
      )
      if 0 < len(pngs) < len(drawn):
        notes += (f"{len(drawn) - len(pngs)} JPG beside PNG files left out",)
    arrays["silhouettes"] = frames
    if "heatmaps" in modalities:
      arrays["heatmaps"] = pickles.read_heatmaps(found["heatmaps"])
  except plausibility.ImplausibleError as error:
    raise EmptySequenceError(str(error)) from None
  except (DamagedFilesError, remote.RefusalError):
    raise
  except UserError as error:
    if source.skip_damaged:
      raise EmptySequenceError(f"damaged: {error}") from None
    raise DamagedFilesError([str(error)]) from error
  if "heatmaps" in arrays and len(arrays["heatmaps"]) != len(frames):
    raise EmptySequenceError(
      f"{len(arrays['heatmaps'])} heat maps do not fit {len(frames)} "
      "silhouettes"
    )
  usable = frames.any(axis=(1, 2))
  if not usable.any():
    also = f" ({'; '.join(notes)})" if notes else ""
    raise EmptySequenceError(f"none of {len(frames)} frames is usable{also}")
  check = plausibility.check(frames)
  if check.refusal:
    raise EmptySequenceError("; ".join((check.refusal, *notes)))
  arrays = {name: values[usable] for name, values in arrays.items()}
  return Reading(arrays, notes + check.notes, check)
