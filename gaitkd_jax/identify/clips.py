"""Clips of known people: videos and silhouettes in a folder of their name."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import os
import pathlib
from typing import Any
import unicodedata

import numpy as np
import tqdm

from gaitkd_jax import errors
from gaitkd_jax.identify import pipeline
from gaitkd_jax.identify import quality
from gaitkd_jax.identify import silhouettes
from gaitkd_jax.identify.track import Track

# Endings of videos.
VIDEOS = (".3gp", ".avi", ".m2ts", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov")
VIDEOS += (".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv")
_TRACK = "track.json"


@dataclasses.dataclass(frozen=True, eq=False)
class Clip:
  """One walk of a known person.

  Attributes:
    person: their name.
    name: of the clip, each once for a person.
    silhouettes: uint8 `[s, 64, 44]`.
  """

  person: str
  name: str
  silhouettes: np.ndarray


def people_in(
  place: str | os.PathLike[str], flag: str
) -> tuple[dict[str, list[pathlib.Path]], list[str]]:
  """Finds people and what shows them.

  Args:
    place: a folder with one entry a person, which is a video, a folder of
      silhouettes, or a folder of several of them; or the video of one person.
    flag: what the user calls it, for messages.

  Returns:
    {name: entries}, sorted; a name is that of the entry without the ending of
    a video. And what was left out, each in one line.

  Raises:
    errors.UserError: there is nothing of the kind.
  """
  from data_pipelines import tree

  place = pathlib.Path(place).expanduser()
  if not place.exists():
    raise errors.UserError(f"{flag} {place} is missing; check the path")
  if place.is_file():
    return {_name(place.stem): [place]}, []
  own = [entry.name for entry in tree.sequence_files(str(place))]
  if own or (place / _TRACK).is_file():
    raise errors.UserError(
      f"{flag} {place} holds the silhouettes of one sequence "
      f"({(own or [_TRACK])[0]}); give the folder above, in which every entry "
      "bears a person's name"
    )
  found: dict[str, list[pathlib.Path]] = {}
  notes = []
  for entry in sorted(place.iterdir(), key=lambda e: tree.natural_key(e.name)):
    if entry.name.startswith("."):
      continue
    if entry.is_dir():
      found.setdefault(_name(entry.name), []).append(entry)
    elif entry.suffix.lower() in VIDEOS:
      found.setdefault(_name(entry.stem), []).append(entry)
    else:
      notes.append(f"left out: {entry}, which is no video and no folder")
  if not found:
    raise errors.UserError(
      f"{flag} {place} is empty: it holds no video and no folder; give one "
      "entry for each person, a video or a folder of silhouettes of that name"
    )
  return found, notes


def read(
  people: Mapping[str, Sequence[pathlib.Path]],
  segmenter: Any = None,
  progress: bool = True,
) -> tuple[list[Clip], list[str]]:
  """Reads the clips of people.

  Args:
    people: of `people_in`.
    segmenter: see `pipeline.extract`, for videos.
    progress: whether to show a bar.

  Returns:
    The clips, and what was left out, each in one line.

  Raises:
    errors.UserError: people have no clip that can be used; all are named.
  """
  found, notes, mistakes = [], [], errors.Mistakes()
  bar = tqdm.tqdm(
    people.items(),
    desc="people",
    unit="person",
    disable=None if progress else True,
  )
  for person, entries in bar:
    clips, left_out = [], []
    for name, source in _sources(entries):
      try:
        tracks = _tracks(source, segmenter)
      except errors.UserError as reason:
        left_out.append(str(reason))
        continue
      usable = [track for track in tracks if not _unusable(track)]
      if why := _several(source, usable):
        left_out.append(why)
        continue
      left_out += [
        f"{source}: {_unusable(track)}"
        for track in tracks
        if track not in usable
      ]
      if not tracks:
        left_out.append(f"{source}: nobody walks in it")
      for track in usable:
        more = f"#{track.id}" if len(usable) > 1 else ""
        clips.append(Clip(person, _unique(f"{name}{more}", clips), track.used))
    if not clips:
      why = "; ".join(left_out[:3]) or "it holds no video and no silhouettes"
      mistakes.add(
        [
          f"{entries[0]} has no usable clip of {person} ({why}); give a video "
          "in which this person alone walks, or 15 silhouettes or more"
        ]
      )
      continue
    notes += [f"left out: {why}" for why in left_out]
    found += clips
  mistakes.check()
  return found, notes


def _name(text: str) -> str:
  """A name as it is shown: composed, on one line, without broken letters."""
  text = text.encode(errors="replace").decode()
  return " ".join(unicodedata.normalize("NFC", text).split())


def _unique(name: str, clips: Sequence[Clip]) -> str:
  """A name that no other clip of the person has."""
  there = {clip.name for clip in clips}
  numbered = (f"{name} ({i})" for i in range(2, len(clips) + 2))
  return next(n for n in (name, *numbered) if n not in there)


def _sources(
  entries: Sequence[pathlib.Path],
) -> Iterator[tuple[str, pathlib.Path]]:
  """Names and paths of the videos and folders of silhouettes of a person."""
  from data_pipelines import tree

  for entry in entries:
    if entry.is_file():
      yield _name(entry.name), entry
      continue
    seen = set()
    for folder, below, files in os.walk(entry, followlinks=True):
      below.sort(key=tree.natural_key)
      path = pathlib.Path(folder)
      # A link may lead back to a folder above it.
      if (real := os.path.realpath(folder)) in seen:
        below.clear()
        continue
      seen.add(real)
      name = path.relative_to(entry).as_posix()
      if _TRACK in files or tree.sequence_files(folder):
        below.clear()  # they are read with it
        yield _name(entry.name if name == "." else name), path
      for file in sorted(files, key=tree.natural_key):
        if path.joinpath(file).suffix.lower() in VIDEOS and file[0] != ".":
          yield _name((path / file).relative_to(entry).as_posix()), path / file


def _tracks(source: pathlib.Path, segmenter: Any) -> list[Track]:
  if source.is_dir():
    return silhouettes.load(source)
  return pipeline.extract(source, segmenter=segmenter, progress=False).tracks


def _unusable(track: Track) -> str:
  """Why a track cannot be used, those that were read included; "" if it can."""
  if track.rejected:
    return track.rejected
  if track.frames_used < quality.LEAST_GOOD:
    return f"{track.frames_used} silhouettes; give {quality.LEAST_GOOD} or more"
  return ""


def _several(source: pathlib.Path, tracks: Sequence[Track]) -> str:
  """Whether a video shows several people at once, in one line."""
  if source.is_dir():
    return ""
  for i, one in enumerate(tracks):
    for other in tracks[:i]:
      if (
        one.first_frame <= other.last_frame
        and other.first_frame <= one.last_frame
      ):
        return (
          f"{source}: two people walk in it at once (frames {one.first_frame} "
          f"to {other.last_frame}), and it is not known who is meant"
        )
  return ""
