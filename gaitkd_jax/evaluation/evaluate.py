"""Scores networks and stored embeddings, and reports what was found."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import hashlib
import json
import os
import pathlib
import shlex
import sys
import types
from typing import Any

from jax.sharding import Mesh

from gaitkd_jax import config as config_lib
from gaitkd_jax import errors
from gaitkd_jax import sharding
from gaitkd_jax import storage
from gaitkd_jax import workdir as workdir_lib
from gaitkd_jax.evaluation import embed as embed_lib
from gaitkd_jax.evaluation import embedded as embedded_lib
from gaitkd_jax.evaluation import page_saliency
from gaitkd_jax.evaluation import protocols
from gaitkd_jax.evaluation import report as report_lib
from gaitkd_jax.evaluation import results
from gaitkd_jax.evaluation import scoring
from gaitkd_jax.evaluation import store as store_lib
from gaitkd_jax.evaluation import tables
from gaitkd_jax.evaluation import tested as tested_lib
from gaitkd_jax.evaluation.protocols import left_out as left_out_lib
from gaitkd_jax.hosts import together


def primary_metric(config: Any) -> str:
  """The flat name of the metric by which checkpoints of `config` are compared.

  Empty for a submission, whose metrics a server keeps.

  Raises:
    errors.UserError: `eval.protocol` or `eval.metric` is unknown.
  """
  metric = embed_lib.protocol_of(config).primary_metric
  return metric.flat if metric else ""


class Evaluator:
  """Scores a network on the test split of a config while it is trained."""

  def __init__(self, config: Any, module: Any, mesh: Mesh):
    """Reads the split; the network is compiled at the first call.

    Args:
      config: the whole config; `eval.data`, where given, replaces `data`.
      module: the network, or an exported one.
      mesh: devices of the data axis.

    Raises:
      errors.UserError: the split cannot be scored.
    """
    self._config = config
    self._module = module
    self._protocol = embed_lib.protocol_of(config)
    self._embedder = embed_lib.Embedder(config, module, mesh)
    self._check_split()
    # The parameters that were last scored on all subjects, and the result.
    self._last: tuple[Any, results.Evaluation] | None = None

  def __call__(self, variables: Any) -> results.Evaluation | None:
    """Scores `eval.subjects` subjects; None if the protocol is a submission.

    Args:
      variables: of the network.
    """
    if isinstance(self._protocol, protocols.Submission):
      return None
    subjects = self._config.eval.subjects
    found = score(
      self._config,
      self._embedder(variables, subjects),
      self._embedder.left_out(subjects),
    )
    if not subjects:
      self._last = variables["params"], found
    return found

  @property
  def basis(self) -> str:
    """What `__call__` scores, and how: scores of one basis can be compared.

    SHA-256 of the protocol, its settings, the metric, the frames that are read
    and of the sequences: names, lengths, bytes and roles.
    """
    c = self._config.eval
    identity = [
      self._protocol.name,
      self._protocol.settings(c),
      c.metric,
      c.max_frames,
      self._config.model.get("retrieval", "embedding"),
      self._embedder.identity(c.subjects),
      self._embedder.roles(c.subjects),
    ]
    return _digest(identity)

  @property
  def test_data(self) -> str:
    """SHA-256 of the names, lengths and bytes of all test sequences."""
    return _digest(self._embedder.identity())

  def finish(
    self,
    variables: Any,
    step: int,
    workdir: str | os.PathLike[str],
    path: str,
    name: str = "",
    made_by: Mapping[str, Any] = types.MappingProxyType({}),
  ) -> results.Evaluation | None:
    """Scores all subjects and reports; writes a submission and returns None.

    Args:
      variables: of the network.
      step: of the checkpoint.
      workdir: takes the files, see `report`.
      path: the checkpoint, or the exported file, to be named in the page.
      name: of the files; empty for the step.
      made_by: what is said of an exported file, see `tested.Tested.made_by`.
    """
    if isinstance(self._protocol, protocols.Submission):
      embedded = self._embedder(variables)
      submit(self._config, self._protocol, embedded, name or str(step), workdir)
      return None
    if self._last and self._last[0] is variables["params"]:
      found = self._last[1]
    else:
      found = score(
        self._config, self._embedder(variables), self._embedder.left_out()
      )
    return report(
      self._config,
      found,
      name or str(step),
      workdir,
      {"step": step, "exported" if made_by else "checkpoint": path, **made_by},
      self._embedder.strip,
      # An exported file has no gradient that says where it looks.
      None
      if made_by
      else lambda: page_saliency.PageSaliency(
        self._module,
        variables,
        self._embedder,
        found.ranker.embeddings,
        found.ranker.metric,
      ),
    )

  def _check_split(self) -> None:
    """Raises a UserError for a split that the protocol could not score.

    Nobody should train for days and only then learn that nothing can be scored.
    """
    self._protocol.probe_galleries(
      self._embedder.labels(), self._embedder.roles()
    )
    some = self._config.eval.subjects
    if not some or isinstance(self._protocol, protocols.Submission):
      return
    try:
      self._protocol.probe_galleries(
        self._embedder.labels(some), self._embedder.roles(some)
      )
    except errors.UserError as e:
      raise errors.UserError(
        f"config.eval.subjects is {some}, too few; raise it, or set 0 for all "
        f"(of these: {e})"
      ) from e


def _digest(content: Any) -> str:
  text = json.dumps(content, sort_keys=True, default=list)
  return hashlib.sha256(text.encode()).hexdigest()


def evaluate_checkpoint(
  config: Any, workdir: str | os.PathLike[str]
) -> dict[str, float]:
  """Scores a network and reports: `--mode=eval`.

  Args:
    config: `eval.model` names an exported file, or `eval.checkpoint` a
      checkpoint; both empty is the newest of the workdir.
    workdir: takes the files of `report` or of `submit`.

  Returns:
    The metrics by flat name; none of a submission.
  """
  config_lib.check(config)
  embed_lib.protocol_of(config)
  workdir_lib.make_workdir(workdir)
  mesh = sharding.create_mesh()
  tested = tested_lib.load(config, workdir, mesh)
  found = Evaluator(config, tested.module, mesh).finish(
    tested.variables,
    tested.step,
    workdir,
    tested.path,
    tested.name,
    tested.made_by,
  )
  return found.flat() if found else {}


def score_store(
  config: Any, workdir: str | os.PathLike[str]
) -> dict[str, float]:
  """Scores stored embeddings and reports, without the network: `--mode=score`.

  Args:
    config: `eval.embeddings` names the store (or an .npz); empty is the newest
      of the workdir.
    workdir: takes the files of `report` or of `submit`.

  Returns:
    The metrics by flat name; none of a submission.
  """
  config_lib.check(config)
  protocol = embed_lib.protocol_of(config)
  workdir_lib.make_workdir(workdir)
  path = storage.path(config.eval.embeddings or _newest_store(workdir))
  store = store_lib.EmbeddingStore.open(path)
  roles, absent = _stored_roles(config, store)
  embedded = embedded_lib.Embedded(store, store.labels, roles)
  known = store.metadata
  name = str(known.get("step", path.stem))
  if exported := known.get("exported"):
    name += f"_{pathlib.Path(exported).stem}"
  if isinstance(protocol, protocols.Submission):
    submit(config, protocol, embedded, name, workdir)
    return {}
  metadata: dict[str, Any] = {
    key: known[key]
    for key in ("step", "checkpoint", "exported")
    if key in known
  }
  if "exported" in known:
    metadata["file"] = os.path.basename(known["exported"])
    metadata["digest"] = known["digest"]
  # The store may have been made from another data set or by another network
  # than the config names.
  metadata["data set"] = known.get("data", "unknown")
  metadata["model"] = known.get("model", {}).get("name", "unknown")
  metadata["embeddings"] = str(path)
  found = score(config, embedded, left_out_lib.of_lists(absent))
  return report(config, found, name, workdir, metadata).flat()


def _stored_roles(
  config: Any, store: store_lib.EmbeddingStore
) -> tuple[Mapping[str, Any], Sequence[str]]:
  """The roles that the store keeps if it was made for this protocol.

  Returns:
    The roles, and the listed probes that are not there.
  """
  stored = store.metadata.get("options", {})
  same_protocol = store.metadata.get("protocol") == config.eval.protocol
  if stored and same_protocol and not config.eval.lists:
    return dict(stored), store.metadata.get("absent_probes", ())
  return embed_lib.roles(config), embed_lib.absent_probes(config)


def _newest_store(workdir: str | os.PathLike[str]) -> storage.Path:
  folder = storage.path(workdir) / "embeddings"
  steps = [int(name) for name in storage.names(folder) if name.isdecimal()]
  if not steps:
    raise errors.UserError(
      f"there are no embeddings in {folder}; write them with --mode=embed, or "
      "give --config.eval.embeddings=<store or .npz>"
    )
  return folder / str(max(steps))


def score(
  config: Any,
  embedded: embedded_lib.Embedded,
  left_out: Sequence[left_out_lib.LeftOut] = (),
) -> results.Evaluation:
  """Evaluates embeddings as a config says, without verification.

  Args:
    config: the whole config.
    embedded: the set.
    left_out: what is not in the set, though it might be.
  """
  c = config.eval
  protocol = embed_lib.protocol_of(config)
  embedded = _with_settings(protocol, c, embedded)
  found = scoring.evaluate(protocol, embedded, c.metric, c.memory_gib)
  return dataclasses.replace(found, left_out=(*left_out, *found.left_out))


def _with_settings(
  protocol: protocols.EvaluationProtocol,
  config: Any,
  embedded: embedded_lib.Embedded,
) -> embedded_lib.Embedded:
  """Adds the options that the section `eval` of a config sets."""
  options = {**embedded.options, **protocol.settings(config)}
  return dataclasses.replace(embedded, options=options)


def report(
  config: Any,
  found: results.Evaluation,
  name: str,
  workdir: str | os.PathLike[str],
  metadata: Mapping[str, Any],
  strips: report_lib.Strips = lambda row, frames: None,
  looks: Callable[[], report_lib.Saliency] | None = None,
) -> results.Evaluation:
  """Prints an evaluation and writes `eval/<name>.*`, in the first process.

  That is <name>.json, the metrics, and <name>.html, a page of them, if
  `eval.report` is set. Where there are files of another protocol, the name is
  <name>_<protocol>.

  Args:
    config: the whole config.
    found: see `score`.
    name: of the files.
    workdir: takes them in its folder `eval`.
    metadata: of the embeddings.
    strips: some silhouettes of a row, see `embed.Embedder.strip`.
    looks: makes what says where the network looks; None: there is none.

  Returns:
    The evaluation, with verification if `eval.verification` is set.
  """
  if config.eval.verification:
    found = scoring.verified(found)

  def write() -> None:
    print(tables.format_table(found.metrics), flush=True)
    if found.verification:
      print("\n" + tables.format_verification(found.verification))
    if found.left_out:
      print("\n" + tables.format_left_out(found.left_out), flush=True)
    own_name = workdir_lib.name_of(name, workdir, found.protocol.name)
    kept = ("step", "file", "digest")
    known = {key: metadata[key] for key in kept if key in metadata}
    known |= {"protocol": found.protocol.name, "metric": found.ranker.metric}
    known["left_out"] = [dataclasses.asdict(one) for one in found.left_out]
    workdir_lib.write(found.flat(), own_name, workdir, **known)
    if config.eval.report:
      _write_page(config, found, own_name, workdir, metadata, strips, looks)

  together.first_alone(write, f"report the evaluation {name}")
  return found


def _write_page(
  config: Any,
  found: results.Evaluation,
  name: str,
  workdir: str | os.PathLike[str],
  metadata: Mapping[str, Any],
  strips: report_lib.Strips,
  looks: Callable[[], report_lib.Saliency] | None,
) -> None:
  """Writes the page of an evaluation."""
  shown = {
    "data set": embed_lib.test_data(config).name,
    "model": config.model.name,
    **metadata,
    "command": shlex.join(["python", *sys.argv]),
  }
  path = report_lib.write(
    storage.path(workdir) / "eval" / f"{name}.html",
    found,
    strips=strips,
    metrics_path=storage.path(workdir) / "metrics.jsonl",
    metadata={key: str(value) for key, value in shown.items()},
    embedding_map=config.eval.map,
    saliency=looks() if looks and config.eval.saliency else None,
    saliency_count=config.eval.saliency,
  )
  print(f"written: {path}", flush=True)


def submit(
  config: Any,
  protocol: protocols.Submission,
  embedded: embedded_lib.Embedded,
  name: str,
  workdir: str | os.PathLike[str],
) -> None:
  """Writes `eval/<name>.csv` for a server, in the first process.

  Args:
    config: the whole config.
    protocol: that of the config.
    embedded: all sequences.
    name: of the file; where there is one of another protocol, it is
      <name>_<protocol>.
    workdir: takes it in its folder `eval`.
  """
  c = config.eval
  embedded = scoring.checked(
    protocol, _with_settings(protocol, c, embedded), c.metric
  )
  lines = protocol.lines(embedded, c.metric, c.memory_gib)
  labels = embedded.labels
  compared = protocol.probe_galleries(labels, embedded.options)

  def write() -> None:
    if left_out := protocol.left_out(labels, compared):
      print(tables.format_left_out(left_out), flush=True)
    own_name = workdir_lib.name_of(name, workdir, protocol.name)
    path = storage.path(workdir) / "eval" / f"{own_name}.csv"
    workdir_lib.write_text("\n".join(lines) + "\n", path)

  together.first_alone(write, f"write the submission {name}")
