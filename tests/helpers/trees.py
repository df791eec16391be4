"""Dummy trees of every data set, as its publisher names folders and files."""

from collections.abc import Sequence
import pathlib
import pickle
import zlib

import cv2
import numpy as np

from data_pipelines import datasets

NAMES = datasets.BENCHMARKS
# Conditions and views of one subject: a gallery and every kind of probe.
_SEQUENCES = {
  "casiab": (("nm-01", "nm-05", "bg-01", "cl-01"), ("000", "090")),
  "oumvlp": (("00", "01"), ("000", "090")),
  "ccpg": (
    ("U0_D0", "U0_D0_BG", "U0_D3", "U1_D0", "U1_D1", "U2_D2", "U3_D3"),
    ("01_0", "02_1"),
  ),
  "sustech1k": (
    ("00-nm", "01-nm", "01-bg", "02-cl-cr", "03-ub-uf", "04-oc-nt"),
    ("000", "090"),
  ),
  "casiae": (
    ("H-scene1-nm-1", "L-scene2-bg-1", "L-scene3_s-cl-2"),
    ("000", "090"),
  ),
  "hid": (("00", "01"), ("default",)),
}
# The data sets whose probes are one subject.
_SECRET = ("grew", "hid")


def first_subjects(dataset: str, count: int) -> tuple[str, ...]:
  """Names subjects: the first half trains, the others test."""
  own = datasets.source(dataset).partition
  train = own.train
  if train is None:
    train = [i for i in map("{:04d}".format, range(999)) if i not in own.test]
  half = count // 2
  return (*train[:half], *own.test[: count - half])


def sequences(dataset: str, subject: str) -> list[tuple[str, str, str]]:
  """Lists (subject, condition, view) of the sequences that `write` makes."""
  if dataset == "gait3d":
    own = datasets.source(dataset).partition
    keys = [("camid1_videoid1", f"seq{i}") for i in range(2)]
    if subject in own.test:
      name = own.probes[own.test.index(subject)]
      keys.append(tuple(name.split("-")[1:]))
  elif dataset == "grew" and subject.endswith("train"):
    keys = [("00", f"{subject[:5]}seq{i}") for i in range(2)]
  elif dataset == "grew" and subject == "probe":
    keys = [("03", f"unknown{i}") for i in range(2)]
  elif dataset == "hid" and subject == "probe":
    keys = [(f"unknown{i}", "default") for i in range(2)]
  elif dataset == "grew":
    keys = [("01", f"{subject}a"), ("02", f"{subject}b")]
  else:
    conditions, views = _SEQUENCES[dataset]
    keys = [(condition, view) for condition in conditions for view in views]
  return [(subject, *key) for key in keys]


def images(subject: str, condition: str, view: str, frames: int) -> np.ndarray:
  """Draws a walker of the subject's build, white on black.

  Returns:
    uint8 [frames, 96, 80].
  """
  build = np.random.default_rng(zlib.crc32(subject.encode()))
  trunk, head, stride, height = build.uniform(
    (9, 5, 6, 80), (16, 9, 14, 90), 4
  ).astype(int)
  key = f"{subject}-{condition}-{view}".encode()
  rng = np.random.default_rng(zlib.crc32(key))
  phase, centre = rng.uniform(0, 6), int(rng.integers(30, 50))
  drawn = np.zeros((frames, 96, 80), np.uint8)
  for i, image in enumerate(drawn):
    top, step = 95 - height, int(stride * np.sin(phase + 0.4 * i))
    hip = (centre, top + 45)
    cv2.circle(image, (centre, top + head), int(head), 255, -1)
    cv2.ellipse(image, (centre, top + 32), (int(trunk), 22), 0, 0, 360, 255, -1)
    for side in (-1, 1):
      cv2.line(image, hip, (centre + side * step, 94), 255, 7)
  return drawn


def normalised(
  dataset: str, subject: str, condition: str, view: str, frames: int
) -> np.ndarray:
  """Returns the silhouettes that a builder is to give.

  Returns:
    uint8 [frames, 64, 64].
  """
  pretreat = datasets.source(dataset).pretreat
  drawn = published(dataset, subject, condition, view, frames)
  return np.stack([pretreat(image) for image in drawn])


def published(
  dataset: str, subject: str, condition: str, view: str, frames: int
) -> np.ndarray:
  """Returns `images` in the size in which a data set is published.

  Returns:
    uint8 [frames, 128, 128] of those that are normalised by their publisher,
    else [frames, 96, 80].
  """
  drawn = images(subject, condition, view, frames)
  if dataset in ("casiae", "hid"):
    return np.pad(drawn, ((0, 0), (16, 16), (24, 24)))
  return drawn


def heatmaps(
  subject: str, condition: str, view: str, frames: int
) -> np.ndarray:
  """Returns maps that tell sequences, frames and channels apart.

  Returns:
    uint8 [frames, 2, 64, 64].
  """
  key = f"heat maps {subject}-{condition}-{view}".encode()
  rng = np.random.default_rng(zlib.crc32(key))
  coarse = rng.integers(0, 256, (frames, 2, 8, 8)).astype(np.uint8)
  return coarse.repeat(8, axis=2).repeat(8, axis=3)


def raw_folder(
  dataset: str, subject: str, condition: str, view: str
) -> pathlib.PurePath:
  """Names the folder of a sequence's PNG files in the publisher's tree."""
  if dataset == "oumvlp":
    return pathlib.PurePath(f"Silhouette_{view}-{condition}", subject)
  if dataset == "grew" and subject == "probe":
    return pathlib.PurePath("test", "probe", view)
  if dataset == "grew" and subject.endswith("train"):
    return pathlib.PurePath("train", subject.removesuffix("train"), view)
  if dataset == "grew":
    return pathlib.PurePath("test", "gallery", subject, view)
  if dataset == "sustech1k":
    return pathlib.PurePath(subject, condition, view, "Camera-Sils_aligned")
  if dataset == "casiae":
    height, scene, walk, take = condition.split("-")
    return pathlib.PurePath(subject, height, scene, walk, view, take)
  if dataset == "hid" and subject == "probe":
    return pathlib.PurePath("probe", condition)
  if dataset == "hid":
    trains = subject in datasets.source(dataset).partition.train
    part = "train" if trains else "gallery"
    return pathlib.PurePath(part, subject, condition)
  return pathlib.PurePath(subject, condition, view)


def write_raw(folder: pathlib.Path, values: np.ndarray) -> None:
  """Writes frames as PNG files."""
  folder.mkdir(parents=True)
  for i, frame in enumerate(values):
    assert cv2.imwrite(str(folder / f"{i + 1:03d}.png"), frame)


def write_pickles(
  dataset: str,
  folder: pathlib.Path,
  values: np.ndarray,
  maps: np.ndarray | None = None,
) -> None:
  """Writes a sequence as OpenGait's pickles."""
  folder.mkdir(parents=True)
  files = {f"{folder.name}.pkl": values}
  if maps is not None:
    files = {"0_heatmap.pkl": maps, "1_sil.pkl": values}
  elif dataset == "sustech1k":
    other = np.zeros((len(values), 3))
    files = {f"{i:02d}-modality.pkl": other for i in range(16)}
    files["06-modality.pkl"] = values
  for name, content in files.items():
    (folder / name).write_bytes(pickle.dumps(content))


def write(
  root: str | pathlib.Path,
  dataset: str,
  layout: str = "raw",
  subjects: int | Sequence[str] = 4,
  frames: int = 6,
  with_heatmaps: bool = False,
) -> dict[str, np.ndarray]:
  """Writes a dummy tree of a data set, named by its publisher's scheme.

  Args:
    root: the new folder.
    dataset: one of `NAMES`.
    layout: "raw" (PNG files, raw or normalised as the publisher ships them) or
      "pickle" (OpenGait's).
    subjects: their names, or how many: half of them train and half of them test
      by the data set's own partition. GREW and HID get the subject "probe"
      besides.
    frames: frames a sequence.
    with_heatmaps: adds pickles of heat maps (layout "pickle" only).

  Returns:
    {name: uint8 [frames, 64, 64]}, what a builder is to make of the tree; the
    name is "<subject>-<condition>-<view>". The heat maps are `heatmaps(...)`.
  """
  root = pathlib.Path(root)
  if isinstance(subjects, int):
    subjects = first_subjects(dataset, subjects)
  if dataset in _SECRET and "probe" not in subjects:
    subjects = (*subjects, "probe")
  expected = {}
  for key in (k for i in subjects for k in sequences(dataset, i)):
    values = normalised(dataset, *key, frames)
    expected["-".join(key)] = values
    if layout == "raw":
      raw = values
      if dataset != "grew":
        raw = published(dataset, *key, frames)
      write_raw(root / raw_folder(dataset, *key), raw)
    else:
      maps = heatmaps(*key, frames) if with_heatmaps else None
      write_pickles(dataset, root.joinpath(*key), values, maps)
  return expected
