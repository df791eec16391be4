"""What the figures of a run rest on, and whether a run goes on with it.

A run that goes on in its workdir may be given another config. Other people or
another network would make it another run: that is refused. All else goes on,
is printed, and is kept (`workdir.write_config`), so that nobody takes figures
of two settings for those of one.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import json
import os
from typing import Any

from gaitkd_jax import checkpoint
from gaitkd_jax import config as config_lib
from gaitkd_jax import distill
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import quantize
from gaitkd_jax import storage
from gaitkd_jax import workdir as workdir_lib
from gaitkd_jax.evaluation import evaluate

# Keys whose values change no figure, or only the figures of a new run.
NO_BASIS = (
  "compilation_cache",
  "data.cache_gib",
  "data.prepared",
  "eval.batch_size",
  "eval.checkpoint",
  "eval.embeddings",
  "eval.memory_gib",
  "eval.model",
  "eval.report",
  "eval.store_dtype",
  "eval.verification",
  "model.remat",
  "sharding.classifier",
  "train.checkpoint_every",
  "train.eval_every",
  "train.init_from",
  "train.log_every",
  "train.steps",
)
# Keys of the network that change neither its arrays nor what they compute.
_OF_SAME_NETWORK = ("drop_path_rate", "remat", "retrieval")
# What decides which sequences are scored, and how: see `Evaluator.basis`.
_OF_EVALUATION = (
  "data.name",
  "data.partition",
  "data.root",
  "data.test_subjects",
  "data.variant",
  "eval.data",
  "eval.lists",
  "eval.max_frames",
  "eval.metric",
  "eval.protocol",
  "eval.subjects",
  "model.retrieval",
)
_ABSENT = "absent"
_LONGEST = 48

# Old and new value by key.
Changes = dict[str, tuple[Any, Any]]


@dataclasses.dataclass(frozen=True)
class Resumption:
  """How a run goes on in its workdir.

  Attributes:
    step: finished steps; None: the run begins.
    changed: old and new value by key, of all that figures rest on.
    config_is_lost: whether the config of before cannot be read.
    same_evaluation: whether scores that do not say what they are of are scores
      of what is scored now.
  """

  step: int | None = None
  changed: Changes = dataclasses.field(default_factory=dict)
  config_is_lost: bool = False
  same_evaluation: bool = True

  @property
  def text(self) -> str:
    """What goes on otherwise, a line a key; "" if nothing does."""
    lines = []
    if self.config_is_lost:
      lines.append("config.json cannot be read: settings were not compared")
    if self.changed:
      lines.append(f"settings differ from those until step {self.step}:")
      lines += [
        f"  {key}: {shown(old)} -> {shown(new)}"
        for key, (old, new) in self.changed.items()
      ]
    return "\n".join(lines)


def check_config(config: Any, workdir: str | os.PathLike[str]) -> None:
  """Refuses other data or another network, before the data are prepared.

  Args:
    config: the whole config.
    workdir: of the run; it need not exist.

  Raises:
    errors.UserError: the workdir holds a checkpoint of other data, or of
      another network.
  """
  step = checkpoint.newest_step(workdir)
  if step is None:
    return
  place = storage.path(workdir) / "checkpoints" / str(step)
  meta = checkpoint.restored_meta(place)
  before = workdir_lib.config_until(workdir, step) or {}
  name = before.get("data", {}).get("name")
  for subject in meta.get("classes", ())[:1]:
    name = subject.partition("/")[0]
  if name not in (None, config.data.name):
    raise _refusal(
      place, f"was trained on {name}, and data.name is {config.data.name}"
    )
  old = meta.get("model") or before.get("model")
  changed = {
    key: values
    for key, values in _of_network(old, config.model.to_dict()).items()
    if key not in _OF_SAME_NETWORK
  }
  for key, (then, now) in changed.items():
    raise _refusal(
      place,
      f"is of another model: model.{key} was {shown(then)} and is {shown(now)}",
    )
  settings = quantize.create_settings(config.quantization)
  _check_form(
    place, meta.get("quantization"), settings.form if settings else None
  )


def compare(
  config: Any, workdir: str | os.PathLike[str], metadata: Mapping[str, Any]
) -> Resumption:
  """Compares a run with what it left in its workdir.

  Args:
    config: the whole config.
    workdir: of the run.
    metadata: what will be kept with every checkpoint: "classes", and what
      `facts` gives.

  Returns:
    What differs. What the data and teachers hold decides, where the checkpoint
    says what they held, and not the paths that name them.

  Raises:
    errors.UserError: the training data are others.
  """
  step = checkpoint.newest_step(workdir)
  if step is None:
    return Resumption()
  place = storage.path(workdir) / "checkpoints" / str(step)
  meta = checkpoint.restored_meta(place)
  _check_classes(place, meta.get("classes", ()), metadata["classes"])
  then, now = meta.get("data", {}), metadata["data"]
  if then and then["sequences"] != now["sequences"]:
    raise _refusal(
      place,
      f"was trained on {then['sequences']:,} sequences, and data.root, "
      f"data.prepared and data.partition now give {now['sequences']:,}",
    )
  before = workdir_lib.config_until(workdir, step)
  new = _plain(config.to_dict())
  found = {} if before is None else differences(before, new)
  changed = {
    key: values
    for key, values in found.items()
    if not _is_decided(key, meta, metadata)
  }
  return Resumption(
    step,
    changed | _of_content(meta, metadata, changed),
    config_is_lost=before is None,
    same_evaluation=all(
      one is not None and not _of_evaluation(one, new)
      for one in workdir_lib.configs(workdir)
    ),
  )


def facts(
  split: Any, distillation: distill.Distillation, evaluator: evaluate.Evaluator
) -> dict[str, Any]:
  """What tells the content of data and teachers from others: JSON.

  Args:
    split: of the training, a `data_pipelines.store.SequenceStore`.
    distillation: the teachers.
    evaluator: of the run.
  """
  return {
    "data": {
      "sequences": len(split),
      "frames": int(split.lengths.sum()),
      "bytes": int(split.sizes.sum()),
    },
    "teachers": distillation.digests(),
    "test_data": evaluator.test_data,
    "evaluation": evaluator.basis,
  }


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Changes:
  """What differs in two configs, of all that figures rest on.

  Args:
    old: the config of before; a key that it lacks has its default value.
    new: that of now.

  Returns:
    Old and new value by dotted key; a section that is new, or gone, is one key.
  """
  old, new = _plain(old), _plain(new)
  known = _plain(config_lib.default().to_dict())
  teacher = _plain(config_lib.teacher({}).to_dict())
  known["teachers"] = {name: teacher for name in old.get("teachers", {})}
  network = _of_network(old.pop("model", {}), new.pop("model", {}))
  found = dict(_leaves(old, new, known, ""))
  found |= {f"model.{key}": values for key, values in network.items()}
  return {key: value for key, value in found.items() if key not in NO_BASIS}


def shown(value: Any) -> str:
  """A value in at most 48 characters."""
  text = value if value == _ABSENT else json.dumps(value, default=str)
  return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _refusal(place: storage.Path, what: str) -> errors.UserError:
  workdir = place.parent.parent
  return errors.UserError(
    f"checkpoint {place} {what}; give another --workdir, and there "
    f"--config.train.init_from={workdir} to start from this network"
  )


def _check_form(
  place: storage.Path,
  then: Mapping[str, Any] | None,
  now: Mapping[str, Any] | None,
) -> None:
  """Raises a UserError if a run was in other bits, or in none."""
  if (then or {}) == (now or {}):
    return
  what = (
    f"is {quantize.describe(then)}, and config.quantization asks for "
    f"{quantize.describe(now)}"
  )
  if now:
    raise _refusal(place, what)
  flags = " ".join(
    f"--config.quantization.{key}={value}" for key, value in then.items()
  )
  raise errors.UserError(
    f"checkpoint {place} {what}; give another --workdir, or {flags}"
  )


def _check_classes(
  place: storage.Path, then: Sequence[str], now: Sequence[str]
) -> None:
  """Raises a UserError if a run was trained on other people."""
  if not then or list(then) == list(now):
    return
  others = sorted(set(then) ^ set(now)) or [then[0]]
  raise _refusal(
    place,
    f"was trained on {len(then)} subjects, and the data now have {len(now)}; "
    f"{len(others)} are in one of them only, such as {others[0]}",
  )


def _of_network(
  old: Mapping[str, Any] | None, new: Mapping[str, Any]
) -> Changes:
  """What differs in two configs of networks, defaults included."""
  if not old:
    return {}
  if old.get("name") != new.get("name"):
    return {"name": (old.get("name"), new.get("name"))}
  keys = models.config_keys(new["name"])
  known = {k: v for k, v in old.items() if k in keys or k == "name"}
  try:
    modules = models.create_model(known), models.create_model(new)
  except errors.UserError:  # of an earlier version: its arrays will tell
    return {}
  found: Changes = {}
  for key in sorted(keys):
    then, now = (getattr(module, key) for module in modules)
    if then != now:
      found[key] = then, now
  return found


def _of_content(
  meta: Mapping[str, Any], now: Mapping[str, Any], changed: Changes
) -> Changes:
  """What differs in the data and in the teachers themselves.

  Args:
    meta: of the checkpoint.
    now: of the run.
    changed: keys of the config; what they explain is not said twice.
  """
  found: Changes = {}
  then = meta.get("data", {})
  for key, value in now["data"].items():
    if key in then and then[key] != value:
      found[f"data ({key})"] = then[key], value
  for name, digest in now["teachers"].items():
    before = meta.get("teachers", {}).get(name)
    if before not in (None, digest) and not _under(
      (f"teachers.{name}", "teachers"), changed
    ):
      found[f"teachers.{name} (weights)"] = before[:8], digest[:8]
  before = meta.get("evaluation")
  if before not in (None, now["evaluation"]) and not _under(
    _OF_EVALUATION, changed
  ):
    found["eval (what is scored)"] = before[:8], now["evaluation"][:8]
  return found


def _under(sections: Sequence[str], changed: Changes) -> bool:
  """Whether a key of some sections, or one of them, has changed."""
  return any(
    key == section or key.startswith(f"{section}.")
    for key in changed
    for section in sections
  )


def _is_decided(
  key: str, meta: Mapping[str, Any], now: Mapping[str, Any]
) -> bool:
  """Whether a key names what was compared itself, and found to be the same."""
  section, _, rest = key.partition(".")
  same_test_data = meta.get("test_data") == now["test_data"]
  if section == "data":
    return meta.get("data") == now["data"] and same_test_data
  if key.startswith("eval.data"):
    return same_test_data
  if key == "eval.lists":
    return meta.get("evaluation") == now["evaluation"]
  if section == "teachers":
    name, _, what = rest.partition(".")
    digest = meta.get("teachers", {}).get(name)
    return (
      what in ("checkpoint", "cache")
      and digest is not None
      and digest == now["teachers"].get(name)
    )
  return False


def _of_evaluation(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
  """Whether two configs may score other sequences, or otherwise."""
  return _under(_OF_EVALUATION, differences(old, new))


def _plain(content: Any) -> Any:
  """The same as JSON gives it back."""
  return json.loads(json.dumps(content, default=str))


def _leaves(
  old: Mapping[str, Any],
  new: Mapping[str, Any],
  known: Mapping[str, Any],
  prefix: str,
) -> Iterator[tuple[str, tuple[Any, Any]]]:
  """The values that differ, by dotted key."""
  for key in dict.fromkeys((*new, *old)):
    then = old.get(key, known.get(key, _ABSENT))
    now = new.get(key, _ABSENT)
    if isinstance(then, dict) and isinstance(now, dict) and then and now:
      defaults = known.get(key)
      defaults = defaults if isinstance(defaults, dict) else {}
      yield from _leaves(then, now, defaults, f"{prefix}{key}.")
    elif then != now and json.dumps(then) != json.dumps(now):  # NaN
      yield f"{prefix}{key}", (then, now)
