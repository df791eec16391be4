"""Silhouettes and stores that are searched for in a gallery of embeddings.

For `scripts/search.py`: probes are embedded by the network that made the
gallery, as an evaluation does it. JAX is needed.
"""

import tempfile
from typing import Any

from jax.sharding import Mesh
import numpy as np

from gaitkd_jax import checkpoint
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import runtime
from gaitkd_jax import sharding
from gaitkd_jax import storage
from gaitkd_jax.evaluation import embedding as evaluated
from gaitkd_jax.evaluation import restoring
from gaitkd_jax.evaluation import store as store_lib
from gaitkd_jax.evaluation import tested
from gaitkd_jax.identify import clips as clips_lib
from gaitkd_jax.identify import embedding
from gaitkd_jax.identify import gallery as gallery_lib

# What a network saw in an evaluation that says nothing else.
_MAX_FRAMES = 720


def open_gallery(
  path: str, network: str = "", flag: str = "--gallery"
) -> store_lib.EmbeddingStore:
  """Opens a store, or embeds a folder of people.

  Args:
    path: of either, see `gallery.open_gallery`. What was left out of a folder
      is printed.
    network: an exported file or a checkpoint, which embeds a folder.
    flag: what the user calls the path, for messages.

  Raises:
    errors.UserError: it is neither, or no network is given.
  """
  if not _holds_people(path, flag):
    return store_lib.EmbeddingStore.open(path)
  if not network:
    raise errors.UserError(
      f"{flag} {path} is a folder of people, and no network is named that "
      "embeds them; give --model or --checkpoint, or a store"
    )
  found = gallery_lib.open_gallery(path, embedding.open_network(network))
  for note in found.notes:
    print(note, flush=True)
  # A search reads it as it goes; it is gone when the program ends.
  store = store_lib.write(
    tempfile.mkdtemp(dir=storage.scratch()),
    found.embeddings,
    found.people,
    [name.rpartition("/")[2] for name in found.clips],
    [""] * len(found.people),
    found.clips,
    found.metadata,
  )
  return store_lib.EmbeddingStore.open(store)


def _holds_people(path: str, flag: str) -> bool:
  place = storage.path(path)
  if storage.is_remote(place) or store_lib.is_store(place):
    return False
  if not place.is_dir():
    return False
  try:
    clips_lib.people_in(place, flag)
  except errors.UserError:
    return False
  return True


def restore_network(
  gallery: store_lib.EmbeddingStore, path: str, moved: str, mesh: Mesh
) -> tuple[Any, Any]:
  """Restores the network that made a gallery.

  Args:
    gallery: its metadata name the network.
    path: of the gallery, for messages.
    moved: where the checkpoint lies; empty: where the metadata say.
    mesh: devices of the data axis.

  Returns:
    The module and its variables.

  Raises:
    errors.UserError: metadata or the checkpoint are missing, or it is another.
  """
  known = gallery.metadata
  for key in ("model", "checkpoint", "digest"):
    if key not in known:
      raise errors.UserError(
        f"{path} does not say which network made it ({key} is missing); give "
        "--probe a store that the same network made, not silhouettes"
      )
  dtype = known.get("dtype", "float32")
  if models.create_model(known["model"], dtype).in_channels != 1:
    raise errors.UserError(
      f"the network of {path} reads heat maps, which a folder of silhouettes "
      "does not have; embed the probes with --mode=embed, and give that store"
    )
  place = storage.path(moved or known["checkpoint"])
  if not storage.exists(place):
    raise errors.UserError(
      f"the checkpoint of the gallery's network, {place}, is not there; say "
      "with --checkpoint where it lies"
    )
  # A run that went on has later ones.
  for folder in (place / "checkpoints", place):
    if storage.exists(step := folder / str(known.get("step"))):
      place = step
      break
  module, variables = restoring.restore_network(
    place,
    known["model"],
    dtype,
    sharding.replicated(mesh),
    known.get("quantization"),
  )
  digest = checkpoint.digest(variables)
  if digest != known["digest"]:
    raise errors.UserError(
      f"checkpoint {place} is not the one that made {path} (digest "
      f"{digest[:12]}, there {str(known['digest'])[:12]}); name that one with "
      "--checkpoint, or embed the gallery anew"
    )
  return module, variables


def open_exported(
  gallery: store_lib.EmbeddingStore, path: str, file: str
) -> runtime.Exported:
  """Opens an exported network that fits a gallery.

  Args:
    gallery: see `restore_network`.
    path: of the gallery, for messages.
    file: that was given; empty: the one that made the gallery.

  Raises:
    errors.UserError: there is no such file, or it is of another network.
  """
  known = gallery.metadata
  network = tested.open_exported(file or known["exported"], "--model")
  if len(network.frame_shape) > 2:
    raise errors.UserError(
      f"{network.path} reads frames of {list(network.frame_shape)}, not "
      "silhouettes alone; embed the probes with --mode=embed, and give that "
      "store"
    )
  digests = network.digest, network.metadata["checkpoint"]["digest"]
  if known.get("digest") not in digests:
    raise errors.UserError(
      f"{network.path} is neither the file that made {path} nor of the "
      f"checkpoint that did (digest {str(known.get('digest'))[:12]}, of the "
      f"file {digests[0][:12]}, of its checkpoint {digests[1][:12]}); give "
      "that one, or embed the gallery anew"
    )
  return network


def embed_folder(
  probe: str,
  gallery: store_lib.EmbeddingStore,
  path: str,
  model: str = "",
  moved: str = "",
  batch_size: int = 16,
) -> tuple[np.ndarray, np.ndarray]:
  """Embeds sequences of silhouettes as an evaluation does.

  Args:
    probe: a folder, see `data_pipelines.folders.find_sequences`.
    gallery: whose network embeds.
    path: of the gallery, for messages.
    model: an exported file that embeds instead; see `open_exported`.
    moved: where the checkpoint lies; see `restore_network`.
    batch_size: sequences that are embedded at once.

  Returns:
    float32 `[n, p, d]`, and their names, str `[n]`.

  Raises:
    errors.UserError: there is no sequence, or no network of the gallery's.
  """
  # TensorFlow is loaded only where silhouettes are read.
  from data_pipelines import folders
  from data_pipelines import pipeline

  found = folders.find_sequences(storage.fetch(probe), "--probe")
  mesh = sharding.create_mesh()
  if model or "exported" in gallery.metadata:
    variables = None
    module = open_exported(gallery, path, model)
  else:
    module, variables = restore_network(gallery, path, moved, mesh)
  data = gallery.metadata.get("data", "")
  split = folders.read_sequences(found, data, "--probe")
  size = min(batch_size, len(split))
  batches = pipeline.eval_batches(
    split,
    batch_size=-(-size // mesh.size) * mesh.size,
    max_frames=gallery.metadata.get("max_frames", _MAX_FRAMES),
  )
  embed_step = evaluated.make_embed_step(module, mesh)
  return (
    evaluated.embed(embed_step, variables, batches, len(split), mesh),
    split.names,
  )


def open_probes(
  probe: str, gallery: store_lib.EmbeddingStore, path: str, **options: Any
) -> tuple[Any, np.ndarray]:
  """Opens a store of probes, or embeds silhouettes; see `embed_folder`.

  Returns:
    Embeddings `[n, p, d]` and their names, str `[n]`.

  Raises:
    errors.UserError: they are of another network than the gallery.
  """
  if not store_lib.is_store(storage.path(probe)):
    return embed_folder(probe, gallery, path, **options)
  probes = store_lib.EmbeddingStore.open(probe)
  if probes.shape[1:] != gallery.shape[1:]:
    raise errors.UserError(
      f"embeddings of --probe {probe} are {list(probes.shape[1:])}, "
      f"those of --gallery {path} {list(gallery.shape[1:])}; give "
      "stores of one network"
    )
  digests = [store.metadata.get("digest") for store in (gallery, probes)]
  if None not in digests and digests[0] != digests[1]:
    raise errors.UserError(
      f"--probe {probe} and --gallery {path} were made by "
      f"different networks (digest {digests[1][:12]} and {digests[0][:12]}); "
      "embed both with one checkpoint"
    )
  return probes, probes.names
