"""Adds, replaces and removes people in a store; the whole change or nothing."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import os
from typing import Any

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax import storage
from gaitkd_jax.evaluation import store as store_lib
from gaitkd_jax.hosts import stopping
from gaitkd_jax.identify import clips as clips_lib
from gaitkd_jax.identify import embedding
from gaitkd_jax.identify import gallery as gallery_lib
from gaitkd_jax.identify import threshold as threshold_lib


@dataclasses.dataclass(frozen=True)
class Change:
  """What is to be done to a store.

  Attributes:
    store: path; a new one is made if there is none.
    model: the network, see `embedding.open_network`; "" where nobody is added.
    people: a folder of people, see `clips.people_in`; "": nobody is added.
    replace: whether those who are there already are replaced.
    remove: names.
    calibrate: a folder of other people, who are compared with one another to
      find thresholds and are not kept; "": none.
    calibration: the same, of `threshold.measure`; None: it is yet to be made.
    segmenter: see `pipeline.extract`.
  """

  store: str
  model: embedding.Network | str = ""
  people: str = ""
  replace: bool = False
  remove: Sequence[str] = ()
  calibrate: str = ""
  calibration: Mapping[str, Any] | None = None
  segmenter: Any = None


def enrol(change: Change) -> gallery_lib.Gallery:
  """Changes a store, and prints what was done.

  Returns:
    What the store holds now.

  Raises:
    errors.UserError: what the user can mend; the store is as it was.
  """
  if not (change.people or change.remove or change.calibrate):
    raise errors.UserError(
      "nothing is to be done to the gallery; give --enrol=<folder of people>, "
      "--remove=<names> or --calibrate=<folder of other people>"
    )
  if (change.people or change.calibrate) and not change.model:
    raise errors.UserError(
      "--model is missing; give the checkpoint or the exported file that "
      "embeds the people"
    )
  people, notes = {}, []
  if change.people:
    people, notes = clips_lib.people_in(change.people, "--enrol")
  before = None
  if store_lib.is_store(storage.path(change.store)):
    before = gallery_lib.read_store(change.store)
  elif not change.people:
    raise errors.UserError(
      f"--gallery {change.store} is no store; make one with --enrol=<folder of "
      "people>"
    )
  else:
    _check_new(change.store)
  known = set(before.names) if before else set()
  if absent := sorted(set(change.remove) - known):
    raise errors.UserError(
      f"{', '.join(absent)} is not in {change.store}, where there are "
      f"{_listed(sorted(known))}; nothing was changed"
    )
  there = sorted(set(people) & (known - set(change.remove)))
  if there and not change.replace:
    raise errors.UserError(
      f"{_listed(there)} is in {change.store} already; give --replace, or "
      "other names; nothing was changed"
    )
  network = embedding.open_network(change.model) if change.model else None
  if before and network:
    gallery_lib.check_network(before, network)
  clips, more = clips_lib.read(people, change.segmenter)
  for note in (*notes, *more):
    print(note, flush=True)
  gallery = _joined(change, before, clips, network)
  _write(gallery, change.store)
  _tell(change, gallery, people, there)
  return gallery


def _check_new(place: str) -> None:
  path = storage.path(place)
  if storage.exists(path) and (not path.is_dir() or any(path.iterdir())):
    raise errors.UserError(
      f"--gallery {place} is no store, and holds something else; give a new "
      "folder, or the store to be changed"
    )


def _joined(
  change: Change,
  before: gallery_lib.Gallery | None,
  clips: Sequence[clips_lib.Clip],
  network: embedding.Network | None,
) -> gallery_lib.Gallery:
  """What the store is to hold."""
  added = None
  if clips and network:
    added = gallery_lib.embed_people(clips, network, change.store)
  if before is None:
    assert added is not None
    gallery = added
  else:
    gone = {*change.remove, *(clip.person for clip in clips)}
    kept = [i for i, name in enumerate(before.people) if name not in gone]
    gallery = dataclasses.replace(
      before,
      embeddings=before.embeddings[kept],
      people=tuple(before.people[i] for i in kept),
      clips=tuple(before.clips[i] for i in kept),
    )
    if added is not None:
      gallery = dataclasses.replace(
        gallery,
        embeddings=np.concatenate([gallery.embeddings, added.embeddings]),
        people=gallery.people + added.people,
        clips=gallery.clips + added.clips,
      )
  if not gallery.people:
    raise errors.UserError(
      f"nobody would be left in {change.store}; delete the folder instead"
    )
  found = change.calibration
  if change.calibrate and network:
    found = calibrate(change.calibrate, network, change.segmenter)
  if found is not None:
    metadata = {**gallery.metadata, gallery_lib.CALIBRATION: found}
    gallery = dataclasses.replace(gallery, metadata=metadata)
  return gallery


def calibrate(
  folder: str | os.PathLike[str],
  network: embedding.Network,
  segmenter: Any = None,
) -> dict[str, Any]:
  """Compares the people of a folder with one another.

  Args:
    folder: of people, see `clips.people_in`.
    network: which embeds them.
    segmenter: see `pipeline.extract`.

  Returns:
    A calibration, see `threshold.measure`.

  Raises:
    errors.UserError: there are no two people with a usable clip.
  """
  people, _ = clips_lib.people_in(folder, "--calibrate")
  clips, notes = clips_lib.read(people, segmenter)
  for note in notes:
    print(note, flush=True)
  found = gallery_lib.embed_people(clips, network, os.fspath(folder))
  return threshold_lib.measure(
    found.embeddings,
    found.people,
    found.metric,
    f"calibration of {len(found.people)} sequences of {len(found.names)} "
    "people",
  )


def _write(gallery: gallery_lib.Gallery, place: str) -> None:
  with stopping.held():
    store_lib.write(
      place,
      gallery.embeddings,
      gallery.people,
      [name.rpartition("/")[2] for name in gallery.clips],
      [""] * len(gallery.people),
      gallery.clips,
      gallery.metadata,
    )


def _tell(
  change: Change,
  gallery: gallery_lib.Gallery,
  people: Sequence[str],
  replaced: Sequence[str],
) -> None:
  for what, names in (
    ("added", sorted(set(people) - set(replaced))),
    ("replaced", replaced),
    ("removed", sorted(set(change.remove) - set(people))),
  ):
    if names:
      print(f"{what}: {_listed(names)}")
  if gallery.calibration:
    known = gallery.calibration
    print(
      f"calibration: {known['pairs']} pairs of different people, for rates "
      f"(--far) from {1 / max(1, known['pairs']):.2g}"
    )
  print(
    f"written: {change.store}, {len(gallery.people)} sequences of "
    f"{len(gallery.names)} people",
    flush=True,
  )


def _listed(names: Sequence[str]) -> str:
  shown = ", ".join(names[:10])
  return shown + (f" and {len(names) - 10} more" if len(names) > 10 else "")
