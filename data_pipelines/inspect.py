r"""Shows what a data set holds and what augmentation makes of it.

python -m data_pipelines.inspect --dataset=walkers --variant=tiny
python -m data_pipelines.inspect --dataset=gait3d --root=~/Gait3D \
  --modalities=silhouettes,heatmaps --split=test --output=gait3d.png

Prints counts, lengths, conditions and views of a split and what is odd in it
(see `plausibility`; of 1,000 sequences at most), and writes a contact sheet.
Its first row shows clips as they are cut from the data, the others show the
same clips after each augmentation alone and after all of them. Heat maps lie in
colour over the silhouettes: limbs red, joints green. The data set is prepared
first if need be.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses

import cv2
import numpy as np

from data_pipelines import build_notes
from data_pipelines import command_line
from data_pipelines import datasets
from data_pipelines import pipeline
from data_pipelines import plausibility
from data_pipelines import remote
from data_pipelines import sampling
from data_pipelines import store as store_lib
from data_pipelines import transforms
from gaitkd_jax import errors
from gaitkd_jax import storage

SEQUENCES, FRAMES = 4, 5  # on the sheet
_CLIP = sampling.Clip("fixed_ordered", FRAMES, skip=10)
_AUGMENTATIONS = tuple(f.name for f in dataclasses.fields(pipeline.Augment))
_BINS = 10
_BAR = 40  # characters
_LOOKED_AT = 1000  # sequences whose silhouettes are decoded
_MOST = 15  # conditions or views that are listed
_SCALE = 2
_MARGIN = 110  # pixels beside the frames, for the names of rows
_HEADER, _GAP = 22, 6  # pixels
_GREY = 70  # wherever there is no frame


def describe(store: store_lib.SequenceStore) -> str:
  """Returns counts, lengths, conditions and views of a split, as lines."""
  size, frames = int(store.sizes.sum()), int(store.lengths.sum())
  lines = [
    f"subjects    {store.num_classes:,}",
    f"sequences   {len(store):,}",
    f"frames      {frames:,}",
    f"compressed  {size:,} bytes, {size / frames:,.0f} a frame",
    f"modalities  {', '.join(store.modalities)}",
    "",
    *_lengths(store.lengths),
    "",
    *_counts("conditions", store.conditions),
    "",
    *_counts("views", store.views),
    "",
    *_plausibility(store),
  ]
  return "\n".join(lines)


def _plausibility(store: store_lib.SequenceStore) -> list[str]:
  """Looks at the silhouettes of sequences that are spread over the split."""
  tally = plausibility.Tally()
  step = -(-len(store) // _LOOKED_AT)
  for i in range(0, len(store), step):
    decoded = store.decode(store.read(i))["silhouettes"].numpy()
    tally.checks.append(plausibility.check(decoded))
  return [f"silhouettes of {len(tally.checks):,} sequences:"] + [
    f"  {line}" for line in tally.lines()
  ]


def contact_sheet(store: store_lib.SequenceStore, seed: int = 0) -> np.ndarray:
  """Draws clips of a split before and after augmentation.

  Args:
    store: the split; `SEQUENCES` of it are drawn.
    seed: not negative; decides which sequences and frames are shown, and how
      they are augmented.

  Returns:
    uint8 [h, w, 3], blue, green, red. A column is a sequence, a row its frames
    under one augmentation, whose probability is 1.
  """
  count = min(SEQUENCES, len(store))
  index = sampling.draw_shuffled(len(store), count, seed, 0)
  rows = {"before": ()}
  rows |= {name: (name,) for name in _AUGMENTATIONS}
  rows["all"] = _AUGMENTATIONS
  width = FRAMES * (transforms.WIDTH * _SCALE + 1)
  names = [_label(store.names[i], width, _HEADER) for i in index]
  lines = [[_label("", _MARGIN, _HEADER), *names]]
  for name, augmentations in rows.items():
    augment = pipeline.Augment(**dict.fromkeys(augmentations, 1.0))
    label = _label(name, _MARGIN, transforms.SIZE * _SCALE)
    lines.append([label, *_strips(store, count, augment, seed)])
  return np.vstack([np.hstack([_framed(x) for x in line]) for line in lines])


def _strips(
  store: store_lib.SequenceStore,
  count: int,
  augment: pipeline.Augment,
  seed: int,
) -> list[np.ndarray]:
  """Returns the augmented frames of some sequences.

  They are the first batch of a run, which has the same sequences and frames
  whatever `augment` is.

  Returns:
    uint8 [h, w, 3] for each of `count` sequences, its frames from left to
    right.
  """
  batch = next(
    pipeline.train_batches(
      store,
      identities=count,
      sequences=1,
      clip=_CLIP,
      augment=augment,
      seed=seed,
      sampler="shuffled",
    )
  )
  frames = np.repeat(batch["silhouettes"][..., None], 3, axis=-1)
  if "heatmaps" in batch:
    limbs, joints = np.moveaxis(batch["heatmaps"], -1, 0)
    frames //= 2
    frames[..., 2] = np.maximum(frames[..., 2], limbs)
    frames[..., 1] = np.maximum(frames[..., 1], joints)
  frames = frames.repeat(_SCALE, axis=2).repeat(_SCALE, axis=3)
  line = ((0, 0), (0, 0), (0, 0), (0, 1), (0, 0))
  frames = np.pad(frames, line, constant_values=_GREY)
  return [np.hstack(list(clip)) for clip in frames]


def _label(text: str, width: int, height: int) -> np.ndarray:
  """Returns a field of the sheet with a text, cut if it is too long."""
  field = np.full((height, width, 3), _GREY, np.uint8)
  text = text.encode("ascii", "replace").decode()  # all that OpenCV can draw
  place, font = (2, (height + 10) // 2), cv2.FONT_HERSHEY_SIMPLEX
  cv2.putText(field, text, place, font, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
  return field


def _framed(field: np.ndarray) -> np.ndarray:
  edges = ((0, _GAP), (0, _GAP), (0, 0))
  return np.pad(field, edges, constant_values=_GREY)


def _lengths(lengths: np.ndarray) -> list[str]:
  """Returns a summary and a histogram of the lengths of sequences."""
  low, first, middle, third, high = np.quantile(
    lengths, [0, 0.25, 0.5, 0.75, 1], method="inverted_cdf"
  )
  lines = [
    f"frames of a sequence: least {low}, quartiles {first}, {middle}, {third},"
    f" most {high}"
  ]
  step = -(-(high - low + 1) // _BINS)
  starts = np.arange(low, high + 1, step)
  counts = np.bincount((lengths - low) // step, minlength=len(starts))
  for start, count in zip(starts, counts, strict=True):
    # Rounded up, so that a bin which is not empty has a bar.
    bar = "#" * -(-count * _BAR // counts.max())
    lines.append(f"  {start:5} - {start + step - 1:5}  {count:9,}  {bar}")
  return lines


def _counts(title: str, values: np.ndarray) -> list[str]:
  """Lists the most frequent values, the most frequent first."""
  names, counts = np.unique(values, return_counts=True)
  order = np.argsort(-counts, kind="stable")
  lines = [f"{title} ({len(names):,}):"]
  lines += [f"  {names[i] or '(none)'}  {counts[i]:,}" for i in order[:_MOST]]
  if len(order) > _MOST:
    rest = counts[order[_MOST:]].sum()
    lines.append(f"  {len(order) - _MOST:,} others  {rest:,}")
  return lines


def main(arguments: Sequence[str]) -> None:
  """Describes the data set that the arguments name.

  Args:
    arguments: those of the command line.

  Raises:
    errors.UserError: an argument, or the data, cannot be used.
  """
  parser = command_line.parser("inspect", __doc__)
  add = parser.add_argument
  add("--split", default="train", choices=("train", "test"))
  add("--output", default="sheet.png", help="the contact sheet, a PNG")
  add("--seed", type=int, default=0, help="of what is drawn")
  flags = parser.parse_args(arguments)
  if flags.seed < 0:
    raise errors.UserError(f"--seed is {flags.seed}; give 0 or more")
  builder = datasets.prepare(command_line.data(flags))
  store = store_lib.SequenceStore.from_builder(builder, flags.split)
  print(f"{flags.dataset}, split {flags.split}")
  print(describe(store))
  for line in build_notes.summary(builder.data_dir):
    print(line)
  _, png = cv2.imencode(".png", contact_sheet(store, flags.seed))
  try:
    with remote.explained_if(flags.output, "--output"):
      storage.path(flags.output).write_bytes(png.tobytes())
  except OSError as error:
    raise errors.UserError(
      f"--output {flags.output} cannot be written ({error.strerror}); give"
      " another file"
    ) from error
  print(f"\ncontact sheet: {flags.output}")


if __name__ == "__main__":
  command_line.run(main)
