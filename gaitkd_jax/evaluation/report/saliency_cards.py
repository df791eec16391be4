"""Where the network looks: probes, with what it found nearest."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses

import matplotlib
import numpy as np

from gaitkd_jax.evaluation.report import charts
from gaitkd_jax.evaluation.report import markup
from gaitkd_jax.evaluation.report import matches
from gaitkd_jax.evaluation.report import sections

_FRAMES = 8
# Pixels; without it the maps of strided networks are a pattern of dots.
_BLUR = 1.5
# Brighter than all but so many of the pixels of a row is white.
_BRIGHTEST = 0.999
_SHADES = "inferno"
_THIRDS = 3
NO_NETWORK = (
  "Not drawn: there is no network here. --mode=eval shows which pixels decide."
)


@dataclasses.dataclass(frozen=True, eq=False)
class Looks:
  """What a network looks at in one sequence, when it compares it to another.

  Attributes:
    frames: silhouettes, uint8 `[s, h, w]`, at least one.
    maps: by the name of a group of parts, how much every pixel matters: float
      `[s, h, w]`, not negative.
  """

  frames: np.ndarray
  maps: Mapping[str, np.ndarray]


# Takes the rows of a probe and of what it is compared with; None where the
# sequence cannot be shown.
Saliency = Callable[[int, int], Looks | None]


def draw(
  extremes: matches.Extremes,
  names: Sequence[str],
  saliency: Saliency | None,
  count: int,
) -> sections.Section | None:
  """The part of the page; None if no probe is wanted.

  Args:
    extremes: the probes that the page shows.
    names: of all sequences.
    saliency: of the network; None: there is none.
    count: how many probes are wanted: as many of the best as of the worst.
  """
  if not count:
    return None
  note, content = NO_NETWORK, ""
  if saliency is not None:
    worst = _spread(extremes.worst, count - count // 2)
    chosen = [*worst, *_spread(extremes.best, count - len(worst))]
    several = len({shown.condition for shown in chosen}) > 1
    found = [_card(shown, names, saliency, several) for shown in chosen]
    content = "".join(card for card in found if card)
    note = _note() if content else "Not drawn: no gradient could be computed."
  if content:
    content = f'<div class="cards looks">{content}</div>'
  return sections.Section(
    "saliency", "Saliency", "Where the network looks", note, content
  )


def _note() -> str:
  return (
    "The gradient, by pixels, of a probe's similarity to the item that is "
    "nearest to it (arXiv 1312.6034): where it is bright, a brighter or darker "
    "pixel changes the distance most, on the body or beside it. A row is a "
    "group of parts by their height, on a scale of its own, blurred by "
    f"{_BLUR} pixels; its last picture is the mean over the frames. Beside it: "
    "how much of the gradient lies in the upper, the middle and the lower "
    "third of the pictures."
  )


def _spread(shown: Sequence[matches.Shown], count: int) -> list[matches.Shown]:
  """Some of them, evenly: they are sorted by condition."""
  count = min(count, len(shown))
  return [shown[(2 * i + 1) * len(shown) // (2 * count)] for i in range(count)]


def _card(
  shown: matches.Shown,
  names: Sequence[str],
  saliency: Saliency,
  several: bool,
) -> str:
  """A probe with a row of pictures for every group of parts."""
  right = shown.right.rank == 1
  nearest = shown.right if right else shown.wrong[0]
  looks = saliency(shown.row, nearest.row)
  if looks is None:
    return ""
  kind = "right" if right else "wrong"
  rows = [
    f'<li class="{kind}"><div><b>{markup.escape(name.capitalize())}</b>'
    f"<span>{shares(maps)}</span></div>"
    f"{_picture(looks.frames, maps, name)}</li>"
    for name, maps in looks.maps.items()
  ]
  chip = f"<em>{markup.escape(shown.condition)}</em>" if several else ""
  said = "rightly" if right else "wrongly"
  return (
    f"<article><h4>{chip}{markup.escape(names[shown.row])}, {said} nearest to "
    f"{markup.escape(names[nearest.row])}</h4><ul>{''.join(rows)}</ul></article>"
  )


def shares(maps: np.ndarray) -> str:
  """How much of maps `[s, h, w]` lies in each third of the height."""
  rows = maps.sum(axis=(0, 2), dtype=np.float64)
  if not rows.sum() > 0:
    return "no gradient"
  # Where 3 does not divide the height, a row of pixels is shared out.
  ends = np.interp(
    np.arange(_THIRDS + 1) * len(rows) / _THIRDS,
    np.arange(len(rows) + 1),
    np.concatenate([[0], np.cumsum(rows)]),
  )
  found = 100 * np.diff(ends) / rows.sum()
  return " · ".join(f"{share:.0f} %" for share in found)


def _picture(frames: np.ndarray, maps: np.ndarray, name: str) -> str:
  """Some frames under their maps, then the mean over all frames."""
  places = np.linspace(0, len(frames) - 1, min(_FRAMES, len(frames)))
  places = places.round().astype(int)
  maps = _blurred(np.asarray(maps, np.float32))
  mean = maps.mean(axis=0)
  pictures = np.concatenate(
    [
      overlay(frames[places], maps[places]),
      overlay(frames.mean(axis=0)[None], mean[None]),
    ]
  )
  alt = (
    f"{len(places)} silhouettes and their mean, under the saliency of {name}"
  )
  return markup.image(*charts.strip(pictures), alt)


def overlay(frames: np.ndarray, maps: np.ndarray) -> np.ndarray:
  """Silhouettes in grey, under maps that are the brighter the more they say.

  Args:
    frames: `[s, h, w]`, from 0 to 255.
    maps: `[s, h, w]`, not negative; on a scale from 0 to their highest values.

  Returns:
    uint8 `[s, h, w, 3]`.
  """
  highest = np.quantile(maps, _BRIGHTEST)
  value = np.clip(maps / (highest if highest > 0 else 1.0), 0, 1)
  shades = matplotlib.colormaps[_SHADES](0.2 + 0.8 * value)[..., :3]
  grey = 0.5 * np.asarray(frames, np.float32)[..., None] / 255
  opaque = np.sqrt(value)[..., None]
  return np.round(255 * (grey + opaque * (shades - grey))).astype(np.uint8)


def _blurred(maps: np.ndarray) -> np.ndarray:
  """Convolves `[s, h, w]` with a Gaussian; what lies outside is left out."""
  down, across = (_gaussian(size) for size in maps.shape[1:])
  return down @ maps @ across.T


def _gaussian(size: int) -> np.ndarray:
  """A matrix that blurs `size` pixels; its rows add up to 1."""
  place = np.arange(size)
  weight = np.exp(-0.5 * ((place[:, None] - place) / _BLUR) ** 2)
  return (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)
