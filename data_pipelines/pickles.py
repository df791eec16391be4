"""Reads silhouettes and heat maps from pickles, as OpenGait keeps them.

Nothing in a pickle is ever run; see `unpickling`.
"""

import os

import numpy as np

from data_pipelines import plausibility
from data_pipelines import remote
from data_pipelines import unpickling
from gaitkd_jax import storage
from gaitkd_jax.errors import UserError

# An hour of 64 x 64 frames at 25 Hz is 370 MB.
_MOST_BYTES = 2**30
_SIDE = 64
_NARROW = 44  # OpenGait's loader cuts 10 columns on each side, 64 -> 44.


def _read(path: str) -> bytes:
  if storage.is_remote(path):
    return remote.read(path, _MOST_BYTES)
  if (size := os.path.getsize(path)) > _MOST_BYTES:
    raise UserError(
      f"{path}: {size} bytes are too many for a pickle of silhouettes; "
      "split the sequence."
    )
  with open(path, "rb") as file:
    return file.read(size)


def load_array(path: str | os.PathLike[str]) -> np.ndarray:
  """Reads the numpy array in a file; see `unpickling.read_array`.

  Args:
    path: a pickle.

  Returns:
    The array; it may be read-only.

  Raises:
    UserError: the file cannot be read, is empty, truncated or not a pickle, or
      holds something other than one array of numbers, which the error names.
  """
  path = os.fspath(path)
  try:
    data = _read(path)
  except OSError as error:
    raise UserError(
      f"{path}: cannot be read ({error.strerror}); repair or delete it."
    ) from error
  if not data:
    raise UserError(
      f"{path}: the file is empty; copy it again or delete its folder."
    )
  try:
    return unpickling.read_array(data)
  except unpickling.RefusedError as error:
    raise UserError(
      f"{path}: {error}. Nothing was run; delete the file or write the array "
      "again."
    ) from None
  except unpickling.DamagedError as error:
    raise UserError(
      f"{path}: not a whole pickle ({error}); copy the file again."
    ) from None


def mend_silhouettes(
  values: np.ndarray, path: str | os.PathLike[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
  """Converts normalised silhouettes to uint8 and 64 x 64 pixels.

  Args:
    values: [s, 64, 64], or [s, 64, 44] as OpenGait's loader cuts them; the 10
      columns on each side are put back, black. [s, 128, 128] and [s, 128, 88]
      are halved: each pixel is the mean of four. Numbers from 0 to 255, or
      masks from 0 to 1, which are multiplied by 255.
    path: where they come from, for the error.

  Returns:
    uint8 [s, 64, 64]; and what else had to be done, see `plausibility.mend`.

  Raises:
    UserError: they have another shape, or numbers outside 0 to 255.
    plausibility.ImplausibleError: they are no silhouettes.
  """
  shape = " x ".join(str(size) for size in values.shape)
  if values.ndim != 3:
    raise UserError(
      f"{path}: the array is {shape}; silhouettes are frames x 64 x 64."
    )
  sizes = ((_SIDE, _SIDE), (_SIDE, _NARROW))
  doubled = tuple((2 * height, 2 * width) for height, width in sizes)
  if values.shape[1:] not in sizes + doubled:
    raise UserError(
      f"{path}: the array is {shape}; silhouettes are frames x 64 x 64 (or "
      "44), or 128 x 128 (or 88): pre-treat the sequences again for 64, or "
      "give the PNG files."
    )
  values, notes = plausibility.mend(_as_uint8(values, path))
  if values.shape[1:] in doubled:
    notes = (f"halved from {values.shape[1]} x {values.shape[2]}", *notes)
    values = _halved(values)
  if side := (_SIDE - values.shape[2]) // 2:
    values = np.pad(values, ((0, 0), (0, 0), (side, side)))
  return values, notes


def _halved(values: np.ndarray) -> np.ndarray:
  """Means of 2 x 2 pixels, rounded half up, of uint8 [s, h, w]."""
  # Rows first, while the sums fit into 16 bits.
  rows = values[:, ::2].astype(np.uint16) + values[:, 1::2]
  return ((rows[:, :, ::2] + rows[:, :, 1::2] + 2) >> 2).astype(np.uint8)


def as_heatmaps(values: np.ndarray, path: str | os.PathLike[str]) -> np.ndarray:
  """Converts heat maps to uint8 and 64 x 64 pixels.

  Args:
    values: [s, 2, 64, 64], limbs and joints, or [s, 2, 64, 44]; the 10 columns
      on each side are put back, black. uint8, or other numbers from 0 to 255 or
      from 0 to 1, which are multiplied by 255.
    path: where they come from, for the error.

  Returns:
    uint8 [s, 2, 64, 64].

  Raises:
    UserError: they have another shape, or numbers outside 0 to 255.
  """
  shape = " x ".join(str(size) for size in values.shape)
  if values.ndim != 4 or values.shape[1:] not in (
    (2, _SIDE, _SIDE),
    (2, _SIDE, _NARROW),
  ):
    raise UserError(
      f"{path}: the array is {shape}; heat maps are frames x 2 (limbs, joints) "
      "x 64 x 64 (or 44): make them again."
    )
  # The highest confidence of a sequence may be 1/255, so bytes are kept as
  # they are, rather than taken for masks.
  if values.dtype != np.uint8:
    values = _as_uint8(values, path)
  side = (_SIDE - values.shape[3]) // 2
  return np.pad(values, ((0, 0), (0, 0), (0, 0), (side, side)))


def _as_uint8(values: np.ndarray, path: str | os.PathLike[str]) -> np.ndarray:
  if values.size == 0:
    return values.astype(np.uint8)
  if values.dtype == np.bool_:
    # A file may hold other bytes than 0 and 1; they count as true.
    values = (values.view(np.uint8) != 0).astype(np.uint8)
  low, high = values.min(), values.max()
  if not (low >= 0 and high <= 255):  # written so that NaN is refused too
    raise UserError(
      f"{path}: pixels from {low} to {high}; they must be 0 to 255 (or 0 to "
      "1): write them again."
    )
  if values.dtype == np.uint8 and high > 1:
    return values
  values = values.astype(np.float64)
  return np.rint(values * 255 if high <= 1 else values).astype(np.uint8)


def read_silhouettes(path: str | os.PathLike[str]) -> np.ndarray:
  """Reads a pickle of normalised silhouettes; runs nothing.

  Args:
    path: the pickle; see `load_array` and `mend_silhouettes` for what it may
      be.

  Returns:
    uint8 [s, 64, 64], 0 to 255.

  Raises:
    UserError: see `load_array` and `mend_silhouettes`.
  """
  return mend_silhouettes(load_array(path), path)[0]


def read_heatmaps(path: str | os.PathLike[str]) -> np.ndarray:
  """Reads a pickle of heat maps; runs nothing.

  Args:
    path: the pickle; see `load_array` and `as_heatmaps` for what it may be.

  Returns:
    uint8 [s, 2, 64, 64], 0 to 255: limbs, joints.

  Raises:
    UserError: see `load_array` and `as_heatmaps`.
  """
  return as_heatmaps(load_array(path), path)
