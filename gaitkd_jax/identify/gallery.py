"""Those who are known: a store of their embeddings, or a folder of people.

A store is one of `gaitkd_jax/evaluation/store/`, as `--mode=embed` and
`--enrol` write it: "subjects" are names of people. Its metadata name the
network ("digest"), and may hold a calibration (`threshold.measure`).
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import os
from typing import Any

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax import storage
from gaitkd_jax.evaluation import store as store_lib
from gaitkd_jax.identify import clips as clips_lib
from gaitkd_jax.identify import embedding
from gaitkd_jax.identify import threshold as threshold_lib
from gaitkd_jax.identify.distances import METRICS

CALIBRATION = "calibration"


@dataclasses.dataclass(frozen=True, eq=False)
class Gallery:
  """Embeddings of known people.

  Attributes:
    path: of the store or folder.
    embeddings: float32 `[b, p, d]`.
    people: who walks in each, b names.
    clips: names of the sequences, b of them.
    metric: "euclidean" or "cosine".
    metadata: of the store; those that one would have.
    pictures: of each sequence a silhouette, uint8 `[64, 44]`; None of a store.
    notes: what was left out, each in one line.
  """

  path: str
  embeddings: np.ndarray
  people: tuple[str, ...]
  clips: tuple[str, ...]
  metric: str
  metadata: Mapping[str, Any]
  pictures: tuple[np.ndarray, ...] | None = None
  notes: tuple[str, ...] = ()

  @property
  def names(self) -> tuple[str, ...]:
    """The people, each once, sorted."""
    return tuple(sorted(set(self.people)))

  @property
  def calibration(self) -> Mapping[str, Any] | None:
    """Of `threshold.measure`; None: there is none."""
    found = self.metadata.get(CALIBRATION)
    return found if isinstance(found, dict) else None


def read_store(path: str | os.PathLike[str]) -> Gallery:
  """Reads a store.

  Raises:
    errors.UserError: there is none, it is damaged, or somebody has no name.
  """
  found = store_lib.EmbeddingStore.open(path)
  people = tuple(map(str, found.subjects))
  if nameless := sum(not person for person in people):
    raise errors.UserError(
      f"{nameless} of the {len(people)} sequences of {path} have no subject, "
      "so nobody can be named; give a store with the subject of every sequence"
    )
  metric = found.metadata.get("metric")
  return Gallery(
    os.fspath(path),
    np.asarray(found).astype(np.float32),
    people,
    tuple(map(str, found.names)),
    metric if metric in METRICS else METRICS[0],
    found.metadata,
  )


def check_network(gallery: Gallery, network: embedding.Network) -> None:
  """Raises a UserError if a store was made by another network."""
  known = gallery.metadata
  made_by = {known.get("digest"), known.get("checkpoint_digest")} - {None, ""}
  if not made_by:
    raise errors.UserError(
      f"the gallery {gallery.path} does not say which network made it (digest "
      "is missing), so nothing can be compared with it; enrol its people anew "
      "with --enrol"
    )
  if not made_by & set(network.digests):
    raise errors.UserError(
      f"the gallery {gallery.path} was made by another network than --model "
      f"{network.path} (digest {str(known.get('digest'))[:12]}, here "
      f"{network.digests[0][:12]}): their distances mean nothing; give the "
      "network that made it, or enrol the people anew with --enrol"
    )


def embed_people(
  clips: Sequence[clips_lib.Clip], network: embedding.Network, path: str
) -> Gallery:
  """Embeds clips of people; makes a gallery that is not yet a store."""
  return Gallery(
    path,
    embedding.embed(network, [clip.silhouettes for clip in clips]),
    tuple(clip.person for clip in clips),
    tuple(f"{clip.person}/{clip.name}" for clip in clips),
    network.metric,
    network.described(),
    tuple(clip.silhouettes[len(clip.silhouettes) // 2] for clip in clips),
  )


def open_gallery(
  path: str | os.PathLike[str],
  network: embedding.Network,
  segmenter: Any = None,
  progress: bool = True,
) -> Gallery:
  """Opens a store, or reads and embeds a folder of people.

  Args:
    path: of either, see `clips.people_in` of a folder.
    network: which embeds; that of a store has to be the same.
    segmenter: see `pipeline.extract`, for videos of people.
    progress: whether to show a bar.

  Raises:
    errors.UserError: there is no such gallery, it is empty, somebody has no
      usable clip, or a store is of another network.
  """
  if store_lib.is_store(storage.path(path)):
    gallery = read_store(path)
    check_network(gallery, network)
    return gallery
  people, notes = clips_lib.people_in(path, "--gallery")
  clips, more = clips_lib.read(people, segmenter, progress)
  gallery = embed_people(clips, network, os.fspath(path))
  return dataclasses.replace(gallery, notes=(*notes, *more))


def threshold_of(
  gallery: Gallery,
  network: embedding.Network,
  distance: float | None,
  far: float | None,
) -> threshold_lib.Threshold | None:
  """The threshold of a search.

  Args:
    gallery: its own calibration is taken first, then its own pairs if they are
      enough, then what an exported network says of itself.
    network: that embeds.
    distance: that the user gives.
    far: rate of false accepts that the user wants. If neither is given, 1 % of
      the gallery's calibration, if that has 100 pairs; else there is no
      threshold.

  Raises:
    errors.UserError: the rate cannot be kept.
  """
  threshold_lib.check(distance, far)
  if distance is not None:
    return threshold_lib.given(distance)
  known = gallery.calibration
  if known is not None:
    if known.get("metric") != gallery.metric:
      raise errors.UserError(
        f"the calibration of {gallery.path} is of {known.get('metric')} "
        f"distances, the gallery of {gallery.metric} ones; calibrate it anew"
      )
    if far is not None:
      return threshold_lib.at(far, known)
    # Nobody has asked for this rate, so it need not be within reach.
    enough = known["pairs"] * threshold_lib.DEFAULT_RATE >= 1
    return (
      threshold_lib.at(threshold_lib.DEFAULT_RATE, known) if enough else None
    )
  if far is None:
    return None
  own = None
  if len(gallery.names) > 1:
    own = threshold_lib.measure(
      gallery.embeddings,
      gallery.people,
      gallery.metric,
      f"the {len(gallery.people)} sequences of the gallery itself",
    )
    if own["pairs"] * far >= 1:
      return threshold_lib.at(far, own)
  if network.threshold:
    return threshold_lib.of_network(far, network.threshold)
  if own is None:
    raise errors.UserError(
      f"--far={far:g}: the gallery has one person and no calibration; enrol "
      "with --calibrate=<folder of other people>, or give --threshold"
    )
  return threshold_lib.at(far, own)
