"""All mistakes of a command line at once; absl stops at the first.

What knows configs imports JAX, and is imported where there is a config.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import difflib

from absl import flags
from ml_collections import ConfigDict
from ml_collections.config_flags import config_flags

from gaitkd_jax import errors

FLAGS = flags.FLAGS
# Name of a flag, and the text of its value: None if it stands alone.
Argument = tuple[str, str | None]
# Configs by the flag that names their file; None for one that was not read.
Configs = Mapping[str, ConfigDict | None]


def check(argv: Sequence[str]) -> None:
  """Reads config files, and checks all arguments before absl takes them.

  Args:
    argv: the command line, with the name of the program.

  Raises:
    errors.Help: it is asked for.
    errors.UserError: names every mistake.
    flags.Error: a `--flagfile` cannot be read.
  """
  args = FLAGS.read_flags_from_files(list(argv[1:]), force_gnu=False)
  mistakes = errors.Mistakes()
  configs: dict[str, ConfigDict | None] = {}
  for name in list(FLAGS):
    if config_flags.is_config_flag(FLAGS[name]):
      FLAGS[name].parser = parser = _ConfigParser(name, args)
      path = dict(_arguments(args, {})[0]).get(name)
      configs[name] = None
      if path is not None:
        with mistakes.collect():
          configs[name] = parser.parse(path)
  given, rest = _arguments(args, configs)
  for flag, config in configs.items():
    if config is not None:
      from gaitkd_jax.config import overrides

      mistakes.add(overrides.mistakes(config, _changes(given, flag), flag))
    elif flag not in dict(given) and (changes := _changes(given, flag)):
      mistakes.add(
        [f"--{flag}.{changes[0][0]} is given without --{flag}=<file>"]
      )
  mistakes.add(_flag_mistakes(given, configs))
  if rest:
    mistakes.add([surplus(rest)])
  mistakes.check()


def surplus(arguments: Sequence[str]) -> str:
  """What is said of arguments that are no flags."""
  return f"unknown arguments: {' '.join(arguments)}"


class _ConfigParser(flags.ArgumentParser):
  """Reads the file that a config flag names, once."""

  def __init__(self, flag: str, args: Sequence[str]):
    self._flag = flag
    self._args = args
    self._read: dict[str, ConfigDict] = {}

  def parse(self, path: str) -> ConfigDict:
    """Returns the config, locked.

    Raises:
      errors.Help: it is asked for.
      errors.UserError: the file cannot be used.
    """
    from gaitkd_jax import config as config_lib
    from gaitkd_jax.config import overrides

    if path not in self._read:
      file, _, variant = path.partition(":")
      config = config_lib.load(file, variant)
      given, _ = _arguments(self._args, {self._flag: config})
      overrides.open_test_data(config, dict(_changes(given, self._flag)))
      self._read[path] = config.lock()
    return self._read[path]

  def flag_type(self) -> str:
    """For the text of `--help`."""
    return "config file"


def _arguments(
  args: Sequence[str], configs: Configs
) -> tuple[list[Argument], list[str]]:
  """Divides arguments into flags and the rest, as absl does."""
  given = []
  waiting = list(args)
  while waiting:
    arg = waiting.pop(0)
    name, equals, value = arg.removeprefix("-").removeprefix("-").partition("=")
    if not arg.startswith("-") or not name:
      return given, waiting if arg == "--" else [arg, *waiting]
    text: str | None = value
    if not equals:
      kind = _kind(name, configs)
      negated = _kind(name.removeprefix("no"), configs)
      if kind is None and name.startswith("no") and negated is bool:
        name, text = name.removeprefix("no"), "false"
      elif kind is bool or not waiting:
        text = None
      elif kind is not None or not waiting[0].startswith("-"):
        text = waiting.pop(0)
      else:
        text = None
    given.append((name, text))
  return given, []


def _kind(name: str, configs: Configs) -> type | None:
  """`bool` if a flag may stand alone, else another; None: it is unknown."""
  flag, dot, key = name.partition(".")
  if dot and configs.get(flag) is not None:
    from gaitkd_jax.config import overrides

    return overrides.type_of(configs[flag], key)
  if name in FLAGS:
    return bool if FLAGS[name].boolean else str
  return None


def _changes(given: Sequence[Argument], flag: str) -> list[Argument]:
  """The keys of a config that are set, and their values."""
  return [
    (name.partition(".")[2], text)
    for name, text in given
    if name.startswith(f"{flag}.")
  ]


def _flag_mistakes(
  given: Sequence[Argument], configs: Configs
) -> Iterator[str]:
  """Mistakes in all flags but the keys of configs."""
  allowed = (dict(given).get("undefok") or "").split(",")
  for name, text in given:
    if name in configs or name.partition(".")[0] in configs:
      if name in configs and text is None:
        yield f"--{name} has no value; give --{name}=configs/x.py"
    elif name not in FLAGS:
      if name not in allowed:
        yield f"there is no flag --{name}{_meant(name, configs)}"
    elif text is None and not FLAGS[name].boolean:
      yield f"--{name} has no value; give it ({FLAGS[name].help})"
    elif text is not None:
      try:
        FLAGS[name].parser.parse(text)
      except (TypeError, ValueError) as e:
        whole = isinstance(FLAGS[name].parser, flags.IntegerParser)
        literal = str(e).startswith("invalid literal")
        wanted = "give a whole number" if whole and literal else e
        yield f"--{name}={text}: {wanted}"


def _meant(name: str, configs: Configs) -> str:
  near = difflib.get_close_matches(name, list(FLAGS), n=1)
  for flag, config in configs.items():
    if config is not None:
      from gaitkd_jax.config import overrides

      keys = overrides.nearest(config, name)
      last = name.rpartition(".")[2]
      near += [f"{flag}.{k}" for k in keys if k.split(".")[-1] == last]
  if not near:
    return ""
  return f"; did you mean {' or '.join(f'--{n}' for n in near)}?"
