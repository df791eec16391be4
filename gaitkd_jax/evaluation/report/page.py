"""Puts the page together and writes it."""

from collections.abc import Callable
from collections.abc import Mapping
import contextlib
import importlib.metadata
import os
import pathlib
from typing import Any

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax.evaluation import protocols
from gaitkd_jax.evaluation.report import cards
from gaitkd_jax.evaluation.report import charts as charts_lib
from gaitkd_jax.evaluation.report import markup
from gaitkd_jax.evaluation.report import matches
from gaitkd_jax.evaluation.report import sections
from gaitkd_jax.evaluation.report import style


def write(
  path: str | os.PathLike[str],
  *,
  results: Mapping[str, float],
  protocol: str,
  embeddings: Any,
  subjects: np.ndarray,
  conditions: np.ndarray,
  views: np.ndarray,
  metric: str,
  options: Mapping[str, Any],
  roc: Mapping[str, tuple[np.ndarray, np.ndarray]],
  verification: Mapping[str, float],
  strips: Callable[[int, int], np.ndarray | None],
  metrics_path: str | os.PathLike[str] | None,
  facts: Mapping[str, str],
  memory_gib: float = 1.0,
) -> pathlib.Path:
  """Writes the page, and its charts as PNGs in a folder of its name beside it.

  The page is one file: styles and pictures are inside. Nothing is written
  unless all of it can be drawn; the page replaces an older one at once.

  Args:
    path: of the page, such as "<workdir>/eval/<step>.html"; its charts go to
      "<workdir>/eval/<step>/<chart>.png".
    results: of `evaluate.evaluate_embeddings`, percent by name.
    protocol: a key of `protocols.PROTOCOLS`.
    embeddings: finite, `[n, p, d]`, one a sequence.
    subjects: str `[n]`.
    conditions: str `[n]`.
    views: str `[n]`.
    metric: of `distances.METRICS`.
    options: of the protocol, such as `probes`.
    roc: by condition, false and true accept rates `[k]` each, in [0, 1]; may be
      empty.
    verification: percent, by "<condition>/EER", "<condition>/TAR@FAR=0.01",
      ...; may be empty.
    strips: takes a row and a number of frames and returns as many silhouettes,
      evenly over the sequence, uint8 `[frames, h, w]`, 0 the background; None
      where there are none.
    metrics_path: of the training's "metrics.jsonl"; None, or no such file:
      no curves.
    facts: shown at the top, in order. "model" and "data set" also make the
      title; "command" goes to the end of the page.
    memory_gib: bound of the distances that are in memory at once.

  Returns:
    The path of the page.

  Raises:
    errors.UserError: unknown protocol, or a file that cannot be read or
      written.
  """
  path = pathlib.Path(path)
  if protocol not in protocols.PROTOCOLS:
    raise errors.UserError(
      f"eval.protocol is {protocol!r}; give one of "
      f"{', '.join(protocols.PROTOCOLS)}"
    )
  scorer = protocols.PROTOCOLS[protocol]
  subjects, conditions, views = (
    np.asarray(x).astype(str) for x in (subjects, conditions, views)
  )
  labels = subjects, conditions, views
  ranker = matches.RememberingRanker(embeddings, subjects, metric, memory_gib)
  trials = scorer.trials(*labels, **options)
  parts = [
    sections.results(results),
    sections.by_view(results),
    sections.view_pairs(scorer, ranker, labels),
    sections.cmc(scorer, ranker, labels, options, trials),
    sections.roc(roc, verification),
    cards.probes(matches.find(ranker, trials), labels, strips),
    sections.training(metrics_path, scorer.main_figure),
  ]
  parts = [part for part in parts if part is not None]
  facts = dict(facts)
  command = facts.pop("command", "")
  page = _page(
    _title(protocol, facts),
    _hero(results, scorer.main_figure),
    facts | _counts(protocol, metric, subjects, trials, facts),
    parts,
    command,
  )
  charts = [chart for part in parts for chart in part.charts]
  _write(path, page, charts)
  return path


def _title(protocol: str, facts: Mapping[str, str]) -> str:
  """What was evaluated on what, as far as it was said."""
  model, data = facts.get("model"), facts.get("data set")
  if model and data:
    return f"{model} on {data}"
  return f"{model or data or 'Evaluation'}: protocol {protocol}"


def _counts(protocol, metric, subjects, trials, facts) -> dict[str, str]:
  """What the page itself knows of the evaluation."""
  probes = np.unique(np.concatenate([t.probes for t in trials]))
  gallery = np.unique(np.concatenate([t.gallery for t in trials]))
  counts = {
    "sequences": len(subjects),
    "subjects": len(np.unique(subjects)),
    "probes": len(probes),
    "gallery": len(gallery),
  }
  known = {"protocol": protocol, "metric": metric}
  known |= {name: f"{count:,}" for name, count in counts.items()}
  return {k: v for k, v in known.items() if k not in facts}


def _hero(results: Mapping[str, float], main_figure: str) -> str:
  """The figure by which checkpoints are compared, large."""
  value = results.get(main_figure, np.nan)
  unit = "<small>%</small>" if np.isfinite(value) else ""
  said = sections.spoken(main_figure)
  names = list(dict.fromkeys(k.partition("/")[0] for k in results))
  if main_figure.startswith("mean/"):
    said += " of " + ", ".join(name for name in names if name != "mean")
  return (
    f'<p class="hero"><strong>{markup.number(value)}{unit}</strong>'
    f"<span>{markup.escape(said)}</span></p>"
  )


def _page(
  title: str,
  hero: str,
  facts: Mapping[str, str],
  parts: list[sections.Section],
  command: str,
) -> str:
  """The whole page."""
  listed = "".join(
    # A path is better broken at a slash than in a word.
    f"<div><dt>{markup.escape(name)}</dt>"
    f"<dd>{markup.escape(str(v)).replace('/', '/<wbr>')}</dd></div>"
    for name, v in facts.items()
  )
  links = "".join(
    f'<a href="#{part.name}">{markup.escape(part.short)}</a>' for part in parts
  )
  again = ""
  if command:
    again = f"<p>Made by</p><pre>{markup.escape(command)}</pre>"
  return (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark">'
    f"<title>{markup.escape(title)}</title>"
    f"<style>{style.sheet()}</style></head>\n<body>"
    f"<header><h1>{markup.escape(title)}</h1>"
    f'<div class="top">{hero}<dl>{listed}</dl></div>'
    f"<nav>{links}</nav></header>\n<main>"
    + "".join(
      markup.section(part.name, part.title, part.note, part.content)
      for part in parts
    )
    + f"</main>\n<footer>{again}<p>gaitkd_jax {_version('gaitkd_jax')}, "
    f"jax {_version('jax')}</p></footer></body></html>\n"
  )


def _version(package: str) -> str:
  try:
    return importlib.metadata.version(package)
  except importlib.metadata.PackageNotFoundError:
    return "(not installed)"


def _write(
  path: pathlib.Path, page: str, charts: list[charts_lib.Chart]
) -> None:
  """Writes all files under other names first; the page takes its place last."""
  folder = path.with_suffix("")
  files = {folder / f"{chart.name}.png": chart.light for chart in charts}
  files[path] = page.encode()
  temporary = {
    file: file.with_name(f".{file.name}.{os.getpid()}.tmp") for file in files
  }
  try:
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
      temporary[file].write_bytes(content)
    for file in files:
      temporary[file].replace(file)
  except OSError as e:
    raise errors.UserError(
      f"{path}: the report cannot be written ({e.strerror}); give another "
      "folder"
    ) from e
  finally:
    for file in temporary.values():
      with contextlib.suppress(OSError):
        file.unlink(missing_ok=True)
