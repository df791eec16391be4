"""One page that shows what was found, and needs nothing but a browser."""

import base64
from collections.abc import Iterator
from collections.abc import Mapping
import html
import importlib.metadata

import cv2
import numpy as np

from gaitkd_jax.evaluation.report import markup
from gaitkd_jax.evaluation.report import style
from gaitkd_jax.identify import annotated
from gaitkd_jax.identify import found as found_lib
from gaitkd_jax.identify import matching
from gaitkd_jax.identify.track import Track

escape = html.escape

_STRIP, _REJECTED, _NEAREST = 14, 8, 5
_RULES = """
.lanes{display:grid;grid-template-columns:minmax(6rem,max-content) 1fr;
gap:.5rem 1rem;margin-top:1.25rem;align-items:center;font-size:.875rem}
.lanes svg{display:block;width:100%;height:1.25rem;border-radius:.25rem;
background:var(--card)}
.lanes a{text-decoration:none;font-weight:600}
.axis{display:flex;justify-content:space-between;color:var(--faint);
font-size:.8125rem}
.keys{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;margin:.75rem 0 0;
color:var(--faint);font-size:.8125rem}
.keys i{display:inline-block;width:.9em;height:.9em;margin-right:.4em;
border-radius:.15em;vertical-align:-.1em;background:currentColor}
.tracks{display:grid;gap:1rem;margin-top:1.25rem}
.who{display:flex;flex-wrap:wrap;gap:1rem 1.5rem;align-items:flex-start}
.who>img{border-radius:.3rem;max-height:10rem;width:auto}
.who>div{flex:1 1 18rem}
.who h3{margin:0;font-size:1.25rem}
.who p{margin:.25rem 0 0}
.named h3{color:var(--right)}
.strip{margin:.9rem 0 0}
.strip img{background:#000;border-radius:.2rem}
figcaption{margin-bottom:.3rem;color:var(--faint);font-size:.8125rem}
.near{width:100%;max-width:44rem;margin-top:.9rem}
.near td{text-align:left;white-space:normal;padding:.25rem .75rem .25rem 0}
.near td:nth-child(2){text-align:right;white-space:nowrap}
.near td:last-child{width:60%}
.near svg{display:block;width:100%;height:.9rem}
.near img{display:inline-block;margin-right:.6rem;background:#000;
border-radius:.15rem;vertical-align:middle}
.why{margin:.9rem 0 0;padding:0;gap:.2rem;font-size:.875rem}
.why li{padding:0;border:0}
"""


def write(
  found: found_lib.Found, shown: Mapping[int, np.ndarray], command: str = ""
) -> str:
  """Composes the page.

  Args:
    found: what it shows.
    shown: pictures of tracks by place, see `annotated.write`.
    command: that made it; may be empty.

  Returns:
    HTML. All pictures are in it, and everything that comes from outside is
    escaped.
  """
  named = sum(match.identity is not None for match in found.matches)
  title = f"Who walks in {_file(found.source)}"
  parts = [
    markup.section("time", "When who was seen", _note(found), _timeline(found)),
    markup.section(
      "tracks",
      "Tracks",
      "Each with silhouettes that the network was shown, evenly over the walk, "
      "and the people of the gallery who are nearest.",
      '<div class="tracks">'
      + "".join(_card(found, i, shown.get(i)) for i in range(len(found.tracks)))
      + "</div>"
      if found.tracks
      else "<p>Nobody was found.</p>",
    ),
  ]
  if found.warnings:
    listed = "".join(f"<li>{escape(text)}</li>" for text in found.warnings)
    parts.append(
      markup.section(
        "warnings", "What was odd", "", f'<ul class="why">{listed}</ul>'
      )
    )
  facts = "".join(
    f"<div><dt>{escape(name)}</dt>"
    f"<dd>{escape(value).replace('/', '/<wbr>')}</dd></div>"
    for name, value in _facts(found).items()
  )
  again = f"<p>Made by</p><pre>{escape(command)}</pre>" if command else ""
  return (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark">'
    f"<title>{escape(title)}</title>"
    f"<style>{style.sheet()}{_RULES}</style></head>\n<body>"
    f'<header><h1>{escape(title)}</h1><div class="top">'
    f'<p class="hero"><strong>{named}<small> of {len(found.tracks)}</small>'
    f"</strong><span>tracks are given a name</span></p><dl>{facts}</dl></div>"
    "</header>\n<main>" + "".join(parts) + f"</main>\n<footer>{again}"
    "<p>A name is what a network finds nearest in the way somebody walks, "
    "within a threshold that lets strangers in at a known rate. It is no proof "
    "of who somebody is. Recognise only people who have agreed to it.</p>"
    f"<p>gaitkd_jax {_version()}</p></footer></body></html>\n"
  )


def _version() -> str:
  try:
    return importlib.metadata.version("gaitkd_jax")
  except importlib.metadata.PackageNotFoundError:
    return "(not installed)"


def _file(path: str) -> str:
  return path.rstrip("/").rpartition("/")[2] or path


def _note(found: found_lib.Found) -> str:
  if found.threshold is None:
    return (
      "Nearest of the gallery; no threshold: nobody is named, since a stranger "
      "also has somebody who is nearest. Give --threshold, or --far."
    )
  return f"Threshold {found.said_of_threshold}."


def _facts(found: found_lib.Found) -> dict[str, str]:
  facts = {
    "input": found.source,
    "gallery": f"{len(found.gallery.names)} people, {found.gallery.path}",
    "model": found.network.path,
    "distance": f"{found.network.metric}, mean over parts",
  }
  if found.video:
    facts["video"] = (
      f"{found.video['frames']:.0f} frames, {found.video['fps']:.4g} a second, "
      f"{found.video['width']:.0f} x {found.video['height']:.0f}"
    )
  facts["seconds"] = f"{sum(found.seconds.values()):.1f}"
  return facts


def _colour(index: int) -> str:
  blue, green, red = annotated.colour(index)
  return f"#{red:02x}{green:02x}{blue:02x}"


def _runs(track: Track) -> Iterator[tuple[int, int, bool]]:
  """First and last frame of stretches that are alike, and if they are used."""
  used = track.good & (not track.rejected)
  breaks = np.flatnonzero((np.diff(track.frames) > 1) | (np.diff(used) != 0))
  starts = [0, *(breaks + 1).tolist()]
  ends = [*breaks.tolist(), len(track) - 1]
  for start, end in zip(starts, ends, strict=True):
    yield int(track.frames[start]), int(track.frames[end]), bool(used[start])


def _timeline(found: found_lib.Found) -> str:
  if not found.tracks:
    return ""
  last = max(track.last_frame for track in found.tracks) + 1
  last = max(last, int(found.video.get("frames", 0)))
  rows = []
  for i, (track, match) in enumerate(
    zip(found.tracks, found.matches, strict=True)
  ):
    bars = "".join(
      f'<rect x="{first}" width="{end - first + 1}" height="10" '
      f'fill="{_colour(i)}" fill-opacity="{1 if used else 0.3}">'
      f"<title>frames {first} to {end}, {'used' if used else 'left out'}"
      "</title></rect>"
      for first, end, used in _runs(track)
    )
    rows.append(
      f'<a href="#track{track.id}">{escape(_who(match))}</a>'
      f'<svg viewBox="0 0 {last} 10" preserveAspectRatio="none" role="img" '
      f'aria-label="track {track.id}, frames {track.first_frame} to '
      f'{track.last_frame}">{bars}</svg>'
    )
  fps = found.video.get("fps")
  end = f"frame {last}" + (f", {last / fps:.1f} s" if fps else "")
  rows.append(
    f'<span></span><div class="axis"><span>0</span><span>{end}</span></div>'
  )
  return (
    f'<div class="lanes">{"".join(rows)}</div>'
    '<p class="keys"><span><i></i>frames that the network was shown</span>'
    '<span><i style="opacity:.3"></i>frames that were left out</span></p>'
  )


def _who(match: matching.Match) -> str:
  return annotated.label(match)


def _card(
  found: found_lib.Found, index: int, picture: np.ndarray | None
) -> str:
  track, match = found.tracks[index], found.matches[index]
  kind = ' class="named"' if match.identity is not None else ""
  image = "" if picture is None else _image(picture, "the person in the video")
  distance = ""
  if match.distance is not None:
    distance = f", distance {markup.distance(match.distance)}"
  return (
    f'<article id="track{track.id}"{kind} style="border-left:4px solid '
    f'{_colour(index)}"><div class="who{kind and " named"}">{image}'
    f"<div><h3>{escape(_who(match))}</h3>"
    f"<p>{escape(match.reason)}</p>"
    f'<p class="note">track {track.id}, frames {track.first_frame} to '
    f"{track.last_frame}: {track.frames_used} of {len(track)} used{distance}; "
    f"{escape(track.ended or 'no more is known')}</p></div></div>"
    + _strips(track)
    + _nearest(found, match)
    + _left_out(track)
    + "</article>"
  )


def _image(picture: np.ndarray, alt: str, scale: float = 1.0) -> str:
  """An image in the page: JPEG of a picture, PNG of silhouettes."""
  kind = "png" if picture.ndim == 2 else "jpeg"
  _, data = cv2.imencode(f".{kind}", picture)
  text = base64.b64encode(data.tobytes()).decode()
  height, width = (round(scale * side) for side in picture.shape[:2])
  return (
    f'<img src="data:image/{kind};base64,{text}" width="{width}" '
    f'height="{height}" alt="{escape(alt)}">'
  )


def _even(silhouettes: np.ndarray, count: int) -> np.ndarray:
  """So many silhouettes, evenly chosen, beside one another: uint8 [64, w]."""
  places = np.linspace(0, len(silhouettes) - 1, min(count, len(silhouettes)))
  return np.hstack(list(silhouettes[places.round().astype(int)]))


def _strips(track: Track) -> str:
  if not track.frames_used:
    return ""
  image = _image(_even(track.used, _STRIP), "silhouettes that were used", 1.5)
  return (
    '<figure class="strip"><figcaption>what the network was shown</figcaption>'
    f"{image}</figure>"
  )


def _nearest(found: found_lib.Found, match: matching.Match) -> str:
  """The nearest people, with a bar each and a line at the threshold."""
  if not match.nearest:
    return ""
  limit = found.threshold.distance if found.threshold else None
  near = match.nearest[:_NEAREST]
  longest = max([one.distance for one in near] + [limit or 0.0]) * 1.05 or 1.0
  rows = []
  for one in near:
    inside = limit is not None and one.distance <= limit
    bar = (
      f'<rect x="0" y="2" height="6" '
      f'width="{100 * one.distance / longest:.2f}" '
      f'fill="var(--{"right" if inside else "faint"})"/>'
    )
    if limit is not None:
      bar += (
        f'<rect x="{100 * limit / longest:.2f}" y="0" width=".6" height="10" '
        'fill="var(--wrong)"><title>threshold</title></rect>'
      )
    picture = ""
    if found.gallery.pictures is not None:
      picture = _image(found.gallery.pictures[one.row], "their silhouette", 0.6)
    rows.append(
      f"<tr><td>{picture}{escape(one.person)}</td>"
      f"<td>{markup.distance(one.distance)}</td>"
      '<td><svg viewBox="0 0 100 10" preserveAspectRatio="none" role="img" '
      f'aria-label="distance {markup.distance(one.distance)}">{bar}</svg></td>'
      "</tr>"
    )
  line = "" if limit is None else "; the line is the threshold"
  more = len(match.nearest) - len(near)
  others = f" ({more} more are farther)" if more else ""
  return (
    '<table class="near"><caption class="note" style="text-align:left">'
    f"nearest of the gallery{others}{line}</caption>"
    f"<tbody>{''.join(rows)}</tbody></table>"
  )


def _left_out(track: Track) -> str:
  counts = track.counted()
  if track.rejected:
    counts = {f"all of them: {track.rejected}": len(track), **counts}
  if not counts:
    return ""
  listed = "".join(
    f"<li><b>{count}</b> {escape(why)}</li>" for why, count in counts.items()
  )
  silhouettes = track.silhouettes[~track.good]
  silhouettes = silhouettes[silhouettes.any(axis=(1, 2))]
  image = ""
  if len(silhouettes):
    image = _image(_even(silhouettes, _REJECTED), "some of them")
  return (
    '<figure class="strip"><figcaption>frames that were left out</figcaption>'
    f'{image}<ul class="why">{listed}</ul></figure>'
  )
