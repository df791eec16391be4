"""Composes the page and writes it."""

from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import importlib.metadata
import os

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax import storage
from gaitkd_jax.evaluation import metrics as metrics_lib
from gaitkd_jax.evaluation import results as results_lib
from gaitkd_jax.evaluation.report import cards
from gaitkd_jax.evaluation.report import charts as charts_lib
from gaitkd_jax.evaluation.report import embedding_map as map_lib
from gaitkd_jax.evaluation.report import markup
from gaitkd_jax.evaluation.report import matches
from gaitkd_jax.evaluation.report import saliency_cards
from gaitkd_jax.evaluation.report import sections
from gaitkd_jax.evaluation.report import style


def write(
  path: str | os.PathLike[str],
  evaluation: results_lib.Evaluation,
  *,
  strips: cards.Strips,
  metrics_path: str | os.PathLike[str] | None,
  metadata: Mapping[str, str],
  embedding_map: str = "",
  saliency: saliency_cards.Saliency | None = None,
  saliency_count: int = 0,
) -> storage.Path:
  """Writes the page, and its charts as PNGs in a folder of its name beside it.

  The page is one file: styles and pictures are inside. Nothing is written
  unless all of it can be drawn; the page replaces an older one at once.

  Args:
    path: of the page, such as "<workdir>/eval/<step>.html"; its charts go to
      "<workdir>/eval/<step>/<chart>.png".
    evaluation: what is shown.
    strips: takes a row and a number of frames and returns as many silhouettes,
      evenly over the sequence, uint8 `[frames, h, w]`, 0 the background; None
      where there are none.
    metrics_path: of the training's "metrics.jsonl"; None, or no such file:
      no curves.
    metadata: shown at the top, in order. "model" and "data set" also make the
      title; "command" goes to the end of the page.
    embedding_map: a key of `projection.KINDS`; "" for no map.
    saliency: what the network looks at, see `saliency_cards.Saliency`; None:
      there is no network.
    saliency_count: probes to show it for; 0 leaves the part out.

  Returns:
    The path of the page.

  Raises:
    errors.UserError: a file cannot be read or written.
  """
  path = storage.path(path)
  primary = evaluation.protocol.primary_metric
  extremes = matches.find(evaluation.ranker, evaluation.ranks)
  names = evaluation.labels.names.tolist()
  mapped = map_lib.draw(evaluation, embedding_map) if embedding_map else None
  every = [
    sections.results(evaluation.metrics),
    sections.left_out(evaluation),
    sections.by_view(evaluation.metrics),
    sections.view_pairs(evaluation),
    sections.cmc(evaluation),
    sections.roc(evaluation.verification),
    cards.probes(extremes, names, strips),
    saliency_cards.draw(extremes, names, saliency, saliency_count),
    mapped,
    sections.training(metrics_path, primary),
  ]
  parts = [part for part in every if part is not None]
  shown = dict(metadata)
  command = shown.pop("command", "")
  page = _page(
    _title(evaluation.protocol.name, shown),
    _hero(evaluation.metrics, primary),
    shown | {k: v for k, v in _counts(evaluation).items() if k not in shown},
    parts,
    command,
  )
  charts = [chart for part in parts for chart in part.charts]
  _write(path, page, charts)
  return path


def _title(protocol: str, metadata: Mapping[str, str]) -> str:
  """Which model was evaluated on which data set, as far as it is known."""
  model, data = metadata.get("model"), metadata.get("data set")
  if model and data:
    return f"{model} on {data}"
  return f"{model or data or 'Evaluation'}: protocol {protocol}"


def _counts(evaluation: results_lib.Evaluation) -> dict[str, str]:
  """What is shown of the evaluation beside its metadata."""
  compared = [ranks.compared for ranks in evaluation.ranks]
  counts = {
    "sequences": len(evaluation.labels),
    "subjects": len(np.unique(evaluation.labels.subjects)),
    "probes": len(np.unique(np.concatenate([c.probes for c in compared]))),
    "gallery": len(np.unique(np.concatenate([c.gallery for c in compared]))),
  }
  return {
    "protocol": evaluation.protocol.name,
    "metric": evaluation.ranker.metric,
    **{name: f"{count:,}" for name, count in counts.items()},
  }


def _hero(
  metrics: Sequence[metrics_lib.Metric], primary: metrics_lib.MetricName
) -> str:
  """The primary metric, in large print."""
  values = {(m.condition, m.name): m.value for m in metrics if m.view is None}
  value = values.get((primary.condition, primary.name), np.nan)
  unit = "<small>%</small>" if np.isfinite(value) else ""
  said = sections.spoken(primary.condition, primary.name)
  if primary.condition == metrics_lib.MEAN:
    conditions = dict.fromkeys(m.condition for m in metrics)
    averaged = [c for c in conditions if c != metrics_lib.MEAN]
    said += " of " + ", ".join(averaged)
  return (
    f'<p class="hero"><strong>{markup.number(value)}{unit}</strong>'
    f"<span>{markup.escape(said)}</span></p>"
  )


def _page(
  title: str,
  hero: str,
  shown: Mapping[str, str],
  parts: list[sections.Section],
  command: str,
) -> str:
  """The whole page.

  Args:
    title: plain text.
    hero: markup.
    shown: texts at the top, by name.
    parts: in their order.
    command: that made the page; may be empty.
  """
  listed = "".join(
    # A path is better broken at a slash than in a word.
    f"<div><dt>{markup.escape(name)}</dt>"
    f"<dd>{markup.escape(str(v)).replace('/', '/<wbr>')}</dd></div>"
    for name, v in shown.items()
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
  path: storage.Path, page: str, charts: list[charts_lib.Chart]
) -> None:
  """Writes all files under other names first; the page takes its place last."""
  folder = path.with_suffix("")
  files = {folder / f"{chart.name}.png": chart.light for chart in charts}
  files[path] = page.encode()
  temporary: dict[storage.Path, storage.Path] = {}
  try:
    if storage.is_remote(path):
      for file, content in files.items():
        storage.write_bytes(file, content)
      return
    temporary |= {
      file: file.with_name(f".{file.name}.{os.getpid()}.tmp") for file in files
    }
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
