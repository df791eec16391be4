"""Scores networks and stored embeddings, and reports what was found."""

from collections.abc import Callable
from collections.abc import Mapping
import os
import pathlib
import shlex
import sys
from typing import Any

import jax
from jax.sharding import Mesh
import numpy as np

from gaitkd_jax import checkpoint
from gaitkd_jax import config as config_lib
from gaitkd_jax import errors
from gaitkd_jax import sharding
from gaitkd_jax import workdir as workdir_lib
from gaitkd_jax.evaluation import embed as embed_lib
from gaitkd_jax.evaluation import protocols
from gaitkd_jax.evaluation import report as report_lib
from gaitkd_jax.evaluation import scoring
from gaitkd_jax.evaluation import store as store_lib
from gaitkd_jax.evaluation import tables
from gaitkd_jax.evaluation.protocols import submissions

# The function of arrays, by the name that other people's scripts call.
evaluate_embeddings = scoring.evaluate_embeddings


def main_figure(config: Any) -> str:
  """The name of the figure by which checkpoints of `config` are compared.

  Empty for a submission, whose figures a server keeps.
  """
  scoring.check_protocol(config.eval.protocol)
  scorer = protocols.PROTOCOLS.get(config.eval.protocol)
  return scorer.main_figure if scorer else ""


class Evaluator:
  """Scores a network on the test split of a config while it is trained."""

  def __init__(self, config: Any, module: Any, mesh: Mesh):
    """Reads the split; the network is compiled at the first call.

    Args:
      config: the whole config; `eval.data`, where given, replaces `data`.
      module: the network.
      mesh: devices of the data axis.
    """
    self._config = config
    self._embedder = embed_lib.Embedder(config, module, mesh)
    # Nobody should train for days to learn that there is nothing to search.
    protocol, some = config.eval.protocol, config.eval.subjects
    scoring.check_labels(protocol, self._embedder.labels())
    if some and protocol not in submissions.SUBMISSIONS:
      try:
        scoring.check_labels(protocol, self._embedder.labels(some))
      except errors.UserError as e:
        raise errors.UserError(
          f"config.eval.subjects is {some}, too few; raise it, or set 0 for "
          f"all (of these: {e})"
        ) from e
    self._last = None, None  # parameters, and what they gave for all subjects

  def __call__(self, variables: Any) -> dict[str, float]:
    """The protocol's figures of `eval.subjects` subjects; none if it has none.

    Args:
      variables: of the network.
    """
    c = self._config.eval
    if c.protocol in submissions.SUBMISSIONS:
      return {}
    e = self._embedder(variables, c.subjects)
    if not c.subjects:
      self._last = variables["params"], e
    labels = e.subjects, e.conditions, e.views
    return evaluate_embeddings(
      c.protocol, e.embeddings, *labels, c.metric, c.memory_gib, **e.options
    )

  def finish(
    self, variables: Any, step: int, workdir: str | os.PathLike[str], path: str
  ) -> dict[str, float]:
    """Scores all subjects and reports; see `report`.

    Args:
      variables: of the network.
      step: of the checkpoint.
      workdir: takes the files.
      path: the checkpoint, to be named in the page.
    """
    params, embedded = self._last
    if params is not variables["params"]:
      embedded = self._embedder(variables)
    return report(
      self._config,
      embedded,
      str(step),
      workdir,
      facts={"step": step, "checkpoint": path},
      strips=self._embedder.strip,
    )


def evaluate_checkpoint(
  config: Any, workdir: str | os.PathLike[str]
) -> dict[str, float]:
  """Restores a model, scores it and reports: `--mode=eval`.

  Args:
    config: `eval.checkpoint` names the checkpoint; empty is the newest of the
      workdir.
    workdir: takes the files of `report`.

  Returns:
    The figures.
  """
  config_lib.check(config)
  main_figure(config)
  workdir_lib.make_workdir(workdir)
  mesh = sharding.create_mesh()
  module, variables, path = embed_lib.restore(config, workdir, mesh)
  step = checkpoint.restored_step(path)
  evaluator = Evaluator(config, module, mesh)
  return evaluator.finish(variables, step, workdir, path)


def score_store(
  config: Any, workdir: str | os.PathLike[str]
) -> dict[str, float]:
  """Scores stored embeddings and reports, without the network: `--mode=score`.

  Args:
    config: `eval.embeddings` names the store (or an .npz); empty is the newest
      of the workdir.
    workdir: takes the files of `report`.

  Returns:
    The figures.
  """
  config_lib.check(config)
  main_figure(config)
  workdir_lib.make_workdir(workdir)
  path = pathlib.Path(config.eval.embeddings or _newest_store(workdir))
  store = store_lib.EmbeddingStore.open(path)
  options = _store_options(config, store)
  embedded = scoring.Embedded(
    store, store.subjects, store.conditions, store.views, options
  )
  known = store.facts
  facts = {key: known[key] for key in ("step", "checkpoint") if key in known}
  # What made the store, which need not be what the config names.
  facts["data set"] = known.get("data", "unknown")
  facts["model"] = known.get("model", {}).get("name", "unknown")
  return report(
    config,
    embedded,
    str(store.facts.get("step", path.stem)),
    workdir,
    facts=facts | {"embeddings": str(path)},
  )


def _store_options(
  config: Any, store: store_lib.EmbeddingStore
) -> dict[str, Any]:
  """Options of the protocol: those of the store if it was made for it."""
  c = config.eval
  stored = store.facts.get("options", {})
  if stored and store.facts.get("protocol") == c.protocol and not c.lists:
    return dict(stored)
  if c.protocol != "gait3d":
    return embed_lib.protocol_options(c)
  # TensorFlow is loaded only where the data set has to be asked.
  from data_pipelines import datasets

  return {"probes": datasets.probes(embed_lib.test_data(config))}


def _newest_store(workdir: str | os.PathLike[str]) -> pathlib.Path:
  folder = pathlib.Path(workdir) / "embeddings"
  steps = [int(p.name) for p in folder.glob("*") if p.name.isdecimal()]
  if not steps:
    raise errors.UserError(
      f"there are no embeddings in {folder}; write them with --mode=embed, or "
      "give --config.eval.embeddings=<store or .npz>"
    )
  return folder / str(max(steps))


def report(
  config: Any,
  embedded: scoring.Embedded,
  name: str,
  workdir: str | os.PathLike[str],
  facts: Mapping[str, Any],
  strips: Callable[[int, int], np.ndarray | None] = lambda row, frames: None,
) -> dict[str, float]:
  """Scores; the first process prints, and writes `eval/<name>.*`.

  That is <name>.json, the figures; <name>.html, a page of them, if
  `eval.report` is set; for a submission <name>.csv instead. Where there are
  files of another protocol, the name is <name>_<protocol>.

  Args:
    config: the whole config.
    embedded: what is scored.
    name: of the files.
    workdir: takes them in its folder `eval`.
    facts: about the embeddings.
    strips: some silhouettes of a row, see `embed.Embedder.strip`.

  Returns:
    The figures; none of a submission.
  """
  c = config.eval
  name = workdir_lib.name_of(name, workdir, c.protocol)
  options = dict(embedded.options)
  if c.protocol == "hid_submission":
    options["rerank"] = c.rerank
  labels = embedded.subjects, embedded.conditions, embedded.views
  embedded = scoring.checked(
    c.protocol, embedded.embeddings, *labels, c.metric, options
  )
  if c.protocol in submissions.SUBMISSIONS:
    if not jax.process_index():
      lines = submissions.SUBMISSIONS[c.protocol].lines(
        embedded.embeddings,
        *labels,
        metric=c.metric,
        memory_gib=c.memory_gib,
        **options,
      )
      path = pathlib.Path(workdir) / "eval" / f"{name}.csv"
      workdir_lib.write_text("\n".join(lines) + "\n", path)
    return {}
  found = scoring.score(
    c.protocol, embedded, c.metric, c.memory_gib, c.verification
  )
  figures = found.results | found.verification
  if jax.process_index():
    return figures
  print(tables.format_table(found.results), flush=True)
  if found.verification:
    print("\n" + tables.format_verification(found.verification))
  known = {"step": facts["step"]} if "step" in facts else {}
  known |= {"protocol": c.protocol, "metric": c.metric}
  workdir_lib.write(figures, name, workdir, **known)
  if c.report:
    _write_page(config, embedded, found, name, workdir, facts, strips)
  return figures


def _write_page(
  config: Any,
  embedded: scoring.Embedded,
  found: scoring.Scores,
  name: str,
  workdir: str | os.PathLike[str],
  facts: Mapping[str, Any],
  strips: Callable[[int, int], np.ndarray | None],
) -> None:
  """Writes the page of an evaluation."""
  data = embed_lib.test_data(config)
  metrics = pathlib.Path(workdir) / "metrics.jsonl"
  shown = {"data set": data.name, "model": config.model.name} | facts
  shown["command"] = shlex.join(["python", *sys.argv])
  path = report_lib.write(
    pathlib.Path(workdir) / "eval" / f"{name}.html",
    results=found.results,
    protocol=config.eval.protocol,
    embeddings=embedded.embeddings,
    subjects=embedded.subjects,
    conditions=embedded.conditions,
    views=embedded.views,
    metric=config.eval.metric,
    options=embedded.options,
    memory_gib=config.eval.memory_gib,
    roc={k: (v.far, v.tar) for k, v in found.curves.items()},
    verification=found.verification,
    strips=strips,
    metrics_path=metrics if metrics.exists() else None,
    facts={k: str(v) for k, v in shown.items()},
  )
  print(f"written: {path}", flush=True)
