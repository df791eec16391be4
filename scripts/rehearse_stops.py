r"""Stops a training at random moments, and checks that nothing is lost.

python scripts/rehearse_stops.py --config=configs/walkers_baseline.py:smoke \
  --output=runs/stops --config.train.steps=60 --config.train.checkpoint_every=15
python scripts/rehearse_stops.py --config=configs/walkers_baseline.py:smoke \
  --output=runs/stops_of_two --processes=2 --stops=10

The config is trained once without a stop. Then it is trained again, stopped and
started until it is done, and again until there were enough stops. Half of them
are SIGTERM, half SIGKILL, at any moment between a start and the time that the
first run took; of several processes, all of them on this machine, any one gets
the signal. Every run that was stopped has to end with the same bits as the one
that was not: all arrays of the last checkpoint, lines of metrics.jsonl but
for times, and the evaluations. Status 1: one did not.

Started again with the same --output it goes on.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time
from typing import Any

from absl import flags
import jax
from ml_collections import config_flags
import numpy as np

from gaitkd_jax import checkpoint
from gaitkd_jax import cli
from gaitkd_jax import errors
from gaitkd_jax.hosts import peers
from gaitkd_jax.training import writers

_CONFIG = config_flags.DEFINE_config_file("config", lock_config=True)
_OUTPUT = flags.DEFINE_string("output", None, "folder for all results")
_STOPS = flags.DEFINE_integer("stops", 40, "how often to stop", 1)
_PROCESSES = flags.DEFINE_integer("processes", 1, "of a run", 1)
_SEED = flags.DEFINE_integer("seed", 0, "of the moments")

# What a process may end with: one that got the signal, and one that did not.
# Before it listens to signals it ends as any program does.
_STOPPED = {
  signal.SIGTERM: (errors.STOPPED, -signal.SIGTERM),
  signal.SIGKILL: (-signal.SIGKILL,),
}
_OTHERS = (errors.STOPPED, peers.GONE)
# Processes that wait for one which never came give up after so many seconds.
_CONNECT = 60
_HANGS = 600  # seconds after which a process counts as hanging


@dataclasses.dataclass
class Stop:
  """One stop of a run.

  Attributes:
    run: number of the run.
    signal: its name.
    process: which of them got it.
    after: seconds from the start to the signal.
    statuses: of all processes.
    waited: seconds until the last of the others had ended.
    ended: seconds until the process that got the signal had ended.
    step: the newest checkpoint afterwards.
    said: the last line of the process that got the signal, or of another.
    connected: whether the processes had found each other before.
  """

  run: int
  signal: str
  process: int
  after: float
  statuses: list[int | None]
  waited: float
  ended: float
  step: int | None
  said: str
  connected: bool = True

  @property
  def is_clean(self) -> bool:
    """Whether all processes ended as they should."""
    own = _STOPPED[signal.Signals[self.signal]]
    # Who waits for one that never came says so, as of any mistake.
    others = (*_OTHERS, *[2] * (not self.connected))
    return all(
      status in (own if i == self.process else others)
      for i, status in enumerate(self.statuses)
    )


def start(workdir: pathlib.Path) -> list[subprocess.Popen[str]]:
  """Starts the processes of a run; what they print goes beside its folder."""
  command = [sys.executable, "-m", "gaitkd_jax.main", f"--workdir={workdir}"]
  command += [a for a in sys.argv[1:] if a.startswith("--config")]
  count = _PROCESSES.value
  with socket.socket() as s:
    s.bind(("localhost", 0))
    port = s.getsockname()[1]
  processes = []
  for i in range(count):
    place = [
      f"--coordinator=localhost:{port}",
      f"--num_processes={count}",
      f"--process_id={i}",
      f"--connect_seconds={_CONNECT}",
    ]
    with open(f"{workdir}.{i}.log", "w") as log:
      processes.append(
        subprocess.Popen(
          command + place * (count > 1),
          env=environment(),
          stdout=log,
          stderr=log,
          text=True,
        )
      )
  return processes


def environment() -> dict[str, str]:
  """Compiled programs of one process are kept, so that a start is short.

  Of several, JAX keeps those of process 0 alone; their order of messages need
  not be that of a program which another process compiles anew.
  """
  if _PROCESSES.value > 1:
    return dict(os.environ)
  kept = os.environ.get("JAX_COMPILATION_CACHE_DIR") or os.path.abspath(
    os.path.join(_OUTPUT.value, "compiled")
  )
  return os.environ | {
    "JAX_COMPILATION_CACHE_DIR": kept,
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
  }


def wait(processes: Sequence[subprocess.Popen[str]]) -> list[float]:
  """Waits for all to end; returns when they did, in seconds from now."""
  began, ended = time.monotonic(), [0.0] * len(processes)
  while any(at == 0 for at in ended):
    for i, process in enumerate(processes):
      if not ended[i] and process.poll() is not None:
        ended[i] = time.monotonic() - began
    if time.monotonic() - began > _HANGS:
      for process in processes:
        process.kill()
    time.sleep(0.005)
  return ended


def stop(
  workdir: pathlib.Path,
  run: int,
  kind: signal.Signals,
  draw: random.Random,
  seconds: float,
) -> Stop | None:
  """Starts a run and stops it; None: it was done before."""
  processes = start(workdir)
  after, chosen = draw.uniform(0, seconds), draw.randrange(len(processes))
  began = time.monotonic()
  while time.monotonic() - began < after:
    if all(process.poll() is not None for process in processes):
      break
    time.sleep(0.005)
  if processes[chosen].poll() is not None:
    wait(processes)
    check_done(processes, workdir)
    return None
  processes[chosen].send_signal(kind)
  ended = wait(processes)
  statuses = [process.returncode for process in processes]
  if not any(statuses):
    return None  # the work was done when the signal came
  own = ended.pop(chosen)
  return Stop(
    run=run,
    signal=kind.name,
    process=chosen,
    after=round(after, 2),
    statuses=statuses,
    waited=round(max(ended, default=0.0), 3),
    ended=round(own, 3),
    step=checkpoint.newest_step(workdir),
    said=said(workdir, chosen, kind),
    connected=all(
      "devices (" in pathlib.Path(f"{workdir}.{i}.log").read_text()
      for i in range(len(processes))
    ),
  )


def said(workdir: pathlib.Path, chosen: int, kind: signal.Signals) -> str:
  """The last line of a process that could say something."""
  speaker = chosen
  if kind == signal.SIGKILL:
    speaker = (chosen + 1) % _PROCESSES.value
    if speaker == chosen:
      return ""
  text = pathlib.Path(f"{workdir}.{speaker}.log").read_text().strip()
  return (text.splitlines() or [""])[-1]


def check_done(
  processes: Sequence[subprocess.Popen[str]], workdir: pathlib.Path
) -> None:
  """Raises a UserError if a process failed without being stopped."""
  for i, process in enumerate(processes):
    if process.returncode:
      raise errors.UserError(
        f"process {i} ended with status {process.returncode} though nothing "
        f"stopped it; read {workdir}.{i}.log"
      )


def differences(one: pathlib.Path, other: pathlib.Path) -> list[str]:
  """What differs in two finished runs; empty: nothing."""
  found = []
  a, b = (checkpoint.read_arrays(workdir) for workdir in (one, other))
  for name in sorted(a.keys() | b.keys()):
    if name not in a or name not in b or not same(a[name], b[name]):
      found.append(name)
  if rows(one) != rows(other):
    found.append("metrics.jsonl")
  names = {p.name for w in (one, other) for p in w.glob("eval/*.json")}
  for name in sorted(names):
    texts = [
      path.read_text() if path.exists() else None
      for path in (one / "eval" / name, other / "eval" / name)
    ]
    if texts[0] != texts[1]:
      found.append(f"eval/{name}")
  return found


def same(a: np.ndarray, b: np.ndarray) -> bool:
  """Whether two arrays have the same bits."""
  alike = a.dtype == b.dtype and a.shape == b.shape
  return alike and a.tobytes() == b.tobytes()


def rows(workdir: pathlib.Path) -> list[dict[str, Any]]:
  """The lines of metrics.jsonl, without what is measured of the machine."""
  lines = (workdir / "metrics.jsonl").read_text().splitlines()
  return [
    {k: v for k, v in json.loads(line).items() if k not in writers.MEASURED}
    for line in lines
  ]


def show(number: int, stopped: Stop) -> None:
  """Prints a stop."""
  others = f", the others after {stopped.waited:.2f} s"
  print(
    f"{number:3d} run {stopped.run} {stopped.signal} to process "
    f"{stopped.process} after {stopped.after:.1f} s: ended after "
    f"{stopped.ended:.2f} s{others if _PROCESSES.value > 1 else ''}, statuses "
    f"{stopped.statuses}{'' if stopped.is_clean else ' (not as they should)'}, "
    f"newest checkpoint {stopped.step}; {stopped.said}",
    flush=True,
  )


def uninterrupted(workdir: pathlib.Path, known: pathlib.Path) -> float:
  """Trains without a stop; returns the seconds that a start and a run take."""
  if known.exists():
    return json.loads(known.read_text())["seconds"]
  for place in (workdir, workdir.with_name("timed")):  # the first compiles
    began = time.monotonic()
    processes = start(place)
    wait(processes)
    check_done(processes, place)
    seconds = time.monotonic() - began
    if _PROCESSES.value > 1:
      break
  known.write_text(json.dumps({"seconds": seconds}))
  return seconds


def summary(stops: Sequence[Stop], found: Mapping[str, list[str]]) -> bool:
  """Prints what came out; returns whether nothing was lost."""
  for name, different in found.items():
    print(f"{name}: {'other' if different else 'equal'} {different or ''}")
  kinds = [s.signal for s in stops]
  counts = ", ".join(f"{kinds.count(k)} {k}" for k in sorted(set(kinds)))
  unclean = [s for s in stops if not s.is_clean]
  wrong = [name for name, different in found.items() if different]
  line = (
    f"{len(stops)} stops ({counts}) of {len(found)} runs of "
    f"{_PROCESSES.value} processes: {len(found) - len(wrong)} runs equal bit "
    f"for bit, {len(unclean)} stops with another status than they should have"
  )
  if _PROCESSES.value > 1:
    met = [s.waited for s in stops if peers.GONE in s.statuses]
    line += f"; the longest wait of a survivor: {max(met, default=0):.2f} s"
    late = [s.waited for s in stops if not s.connected]
    if late:
      line += (
        f", before they were connected {max(late):.2f} s "
        f"(--connect_seconds={_CONNECT})"
      )
  print(line, flush=True)
  return not wrong and not unclean


def main(argv: list[str]) -> None:
  """Rehearses."""
  del argv
  cli.config(_CONFIG)
  if not _OUTPUT.value:
    raise errors.UserError("--output is missing; give a folder for all results")
  # What compares needs no accelerator, which the runs are to have.
  jax.config.update("jax_platforms", "cpu")
  folder = pathlib.Path(_OUTPUT.value)
  folder.mkdir(parents=True, exist_ok=True)
  whole = folder / "whole"
  seconds = uninterrupted(whole, folder / "whole.json")
  print(f"a start and a run take {seconds:.1f} s", flush=True)
  log = folder / "stops.jsonl"
  stops = []
  if log.exists():
    stops = [Stop(**json.loads(x)) for x in log.read_text().splitlines()]
  for number, stopped in enumerate(stops, 1):
    show(number, stopped)
  run = stops[-1].run if stops else 0
  found = {}
  for earlier in sorted({stopped.run for stopped in stops} - {run}):
    found[f"run {earlier}"] = differences(whole, folder / f"run{earlier}")
  while len(stops) < _STOPS.value:
    kind = (signal.SIGTERM, signal.SIGKILL)[len(stops) % 2]
    draw = random.Random(f"{_SEED.value} {len(stops)} {run}")
    workdir = folder / f"run{run}"
    stopped = stop(workdir, run, kind, draw, seconds)
    if stopped is None:
      found[f"run {run}"] = differences(whole, workdir)
      print(f"run {run} is done: {found[f'run {run}'] or 'equal'}", flush=True)
      run += 1
      continue
    stops.append(stopped)
    with log.open("a") as file:
      file.write(json.dumps(dataclasses.asdict(stopped)) + "\n")
    show(len(stops), stopped)
  processes = start(folder / f"run{run}")
  wait(processes)
  check_done(processes, folder / f"run{run}")
  found[f"run {run}"] = differences(whole, folder / f"run{run}")
  if not summary(stops, found):
    raise errors.UserError(f"something was lost; see {folder}")


if __name__ == "__main__":
  cli.run(main)
