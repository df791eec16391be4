"""Searches a gallery of embeddings for the nearest of every probe.

python -m gaitkd_jax.main --config=configs/walkers.py --mode=embed \
  --workdir=runs/walkers
python scripts/search.py --gallery=<store> --probe=<store> --output=found.csv
python scripts/search.py --gallery=<store> --probe=<folder of silhouettes>

A store is what --mode=embed wrote, or an .npz file of the arrays "embeddings"
[sequences, parts, channels], "subjects", "conditions" and "views".

A gallery may also be a folder of people, as `python -m gaitkd_jax.identify`
takes it (docs/identify.md), which --model or --checkpoint embeds.

Silhouettes are PNG or JPG files or a pickle: those in the folder itself are one
sequence, and those in each folder below it are one. They are read, checked and
mended as the builder of the gallery's data set does it, and embedded by the
network that made the gallery; --checkpoint says where it lies now, if it was
moved. --model names an exported file instead: that which made the gallery, or
one of the same checkpoint.

Prints the nearest of the first probes, or, with --output, writes a CSV file of
those of all.

python scripts/search.py --gallery=<store> --probe=<store> --far=0.01

With --threshold or --far every probe gets a verdict: the subject of its nearest
gallery sequence if that is near enough, else "unknown". --far is the rate at
which strangers may be named; the threshold is found in the gallery, see
gaitkd_jax/evaluation/search/verdict.py.
"""

from collections.abc import Sequence
import csv
import pathlib

from absl import flags
import numpy as np
import tqdm

from gaitkd_jax import cli
from gaitkd_jax import errors
from gaitkd_jax import storage
from gaitkd_jax.evaluation import distances
from gaitkd_jax.evaluation import search
from gaitkd_jax.evaluation import store as store_lib
from gaitkd_jax.evaluation.search import verdict as verdict_lib
from gaitkd_jax.identify import probes as probes_lib

_GALLERY = flags.DEFINE_string(
  "gallery", None, "store, or folder of people", required=True
)
_PROBE = flags.DEFINE_string(
  "probe", None, "store, or folder of silhouettes", required=True
)
_TOP = flags.DEFINE_integer("top", 10, "nearest of a probe", lower_bound=1)
_METRIC = flags.DEFINE_enum(
  "metric", None, distances.METRICS, "by default the gallery's own"
)
_MEMORY = flags.DEFINE_float("memory_gib", 1.0, "budget of the search", 0.0)
_OUTPUT = flags.DEFINE_string("output", "", "CSV file to be written")
_CHECKPOINT = flags.DEFINE_string(
  "checkpoint", "", "of the gallery's network, where it has moved"
)
_MODEL = flags.DEFINE_string(
  "model", "", "exported file that embeds silhouettes, in place of a checkpoint"
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 16, "sequences embedded", 1)
_THRESHOLD = flags.DEFINE_float(
  "threshold", None, "distance up to which a probe is named; gives verdicts"
)
_FAR = flags.DEFINE_float(
  "far", None, "the same for a rate of strangers who are named, such as 0.01"
)
# More are not read on a screen.
_SHOWN = 20


def format_table(
  probes: np.ndarray,
  gallery: np.ndarray,
  distance: np.ndarray,
  rows: np.ndarray,
  verdicts: Sequence[verdict_lib.Verdict] = (),
) -> str:
  """A block of lines for each probe.

  Args:
    probes: names, str `[a]`.
    gallery: names, str `[b]`.
    distance: `[a, k]`.
    rows: int `[a, k]`, of the gallery.
    verdicts: a of them, or none.
  """
  lines = []
  pairs = zip(probes, distance, rows, strict=True)
  for i, (probe, values, nearest) in enumerate(pairs):
    lines.append(f"probe {probe}")
    for rank, (value, row) in enumerate(zip(values, nearest, strict=True), 1):
      lines.append(f"{rank:>6}  {value:>10.4f}  {gallery[row]}")
    if verdicts:
      lines.append(f"verdict: {verdicts[i]}")
  return "\n".join(lines)


def write_csv(
  path: storage.Path,
  probes: np.ndarray,
  gallery: store_lib.EmbeddingStore,
  distance: np.ndarray,
  rows: np.ndarray,
  verdicts: Sequence[verdict_lib.Verdict] = (),
) -> None:
  """Writes a line for each probe and rank; the whole file or nothing.

  Verdicts, if there are any, are two columns more: that of the probe on each of
  its lines, and its threshold.
  """
  added = ["verdict", "threshold"] if verdicts else []
  new = pathlib.Path(path.name + ".tmp")
  new = (storage.scratch() if storage.is_remote(path) else path.parent) / new
  try:
    with new.open("w", newline="") as file:
      writer = csv.writer(file)
      writer.writerow(["probe", "rank", "gallery", "distance", *added])
      pairs = zip(probes, distance, rows, strict=True)
      bar = tqdm.tqdm(
        pairs, total=len(probes), desc="write", unit="probe", disable=None
      )
      for i, (probe, values, nearest) in enumerate(bar):
        if verdicts:
          added = [verdicts[i].name, f"{verdicts[i].threshold:.6g}"]
        for rank, row in enumerate(nearest):
          writer.writerow(
            [probe, rank + 1, gallery.names[row], f"{values[rank]:.6g}", *added]
          )
    if storage.is_remote(path):
      storage.write_bytes(path, new.read_bytes())
    else:
      new.replace(path)
  except OSError as e:
    new.unlink(missing_ok=True)
    raise errors.UserError(
      f"--output {path} cannot be written ({e.strerror}); give another"
    ) from e


def check_verdicts(gallery: store_lib.EmbeddingStore) -> None:
  """Raises a UserError for verdicts that this gallery cannot give."""
  if _THRESHOLD.value is not None and _FAR.value is not None:
    raise errors.UserError(
      "--threshold and --far are both given, and either sets the threshold; "
      "give one"
    )
  if _THRESHOLD.value is not None or _FAR.value is not None:
    verdict_lib.check_subjects(gallery.subjects, _FAR.value)
  if _THRESHOLD.value is not None:
    verdict_lib.check_threshold(_THRESHOLD.value)


def find_threshold(
  gallery: store_lib.EmbeddingStore, metric: str
) -> float | None:
  """The threshold of verdicts, None without any; says where --far found it."""
  if _FAR.value is None:
    return _THRESHOLD.value
  found = verdict_lib.threshold_at(
    _FAR.value, gallery, gallery.subjects, metric, _MEMORY.value
  )
  print(
    f"threshold {np.float32(found.distance)!s}: of {found.strangers} gallery "
    f"sequences, each searched among the other {found.subjects - 1} subjects, "
    f"{found.accepted} are named ({found.accepted / found.strangers:.2%}, "
    f"asked for: {found.rate:.4g})"
  )
  if found.known:
    print(
      f"at it, {found.named} of the {found.known} whose subject has another "
      f"sequence there are named rightly ({found.named / found.known:.2%})"
    )
  return found.distance


def main(argv: list[str]) -> None:
  """Searches, and prints or writes what was found."""
  del argv
  output = storage.path(_OUTPUT.value) if _OUTPUT.value else None
  if output and storage.is_remote(output):
    storage.check_writable(output.parent, "the folder of --output")
  elif output and (output.is_dir() or not output.absolute().parent.is_dir()):
    raise errors.UserError(
      f"--output {output} is not a file in a folder that exists; give another"
    )
  if _MODEL.value and _CHECKPOINT.value:
    raise errors.UserError(
      "--model and --checkpoint are both given, and one network embeds; give "
      "one"
    )
  gallery = probes_lib.open_gallery(
    _GALLERY.value, _MODEL.value or _CHECKPOINT.value
  )
  metric = _METRIC.value or gallery.metadata.get("metric")
  if metric not in distances.METRICS:
    metric = distances.METRICS[0]
  check_verdicts(gallery)
  probes, names = probes_lib.open_probes(
    _PROBE.value,
    gallery,
    _GALLERY.value,
    model=_MODEL.value,
    moved=_CHECKPOINT.value,
    batch_size=_BATCH_SIZE.value,
  )
  if not output:
    probes, shown = probes[:_SHOWN], names[:_SHOWN]
  threshold = find_threshold(gallery, metric)
  distance, rows = search.nearest(
    probes, gallery, _TOP.value, metric, _MEMORY.value
  )
  verdicts: list[verdict_lib.Verdict] = []
  if threshold is not None:
    verdicts = verdict_lib.decide(distance, rows, gallery.subjects, threshold)
  known = sum(verdict.subject is not None for verdict in verdicts)
  summary = f"{known} of {len(verdicts)} named"
  if output:
    write_csv(output, names, gallery, distance, rows, verdicts)
    if verdicts:
      print(summary)
    print(f"written: {output}")
    return
  print(f"{metric} distance, {len(gallery)} sequences in the gallery")
  print(format_table(shown, gallery.names, distance, rows, verdicts))
  if verdicts:
    print(summary)
  if len(names) > len(shown):
    print(
      f"and {len(names) - len(shown)} more probes; give --output=<CSV file> "
      "for all"
    )


if __name__ == "__main__":
  cli.run(main)
