"""Programs that run beside the tests, in processes of their own."""

import socket
import subprocess
import sys

from tests.helpers import paths


def start(program, log, *arguments):
  """Starts a program, given as text; what it prints goes to the file `log`."""
  with log.open("w") as file:
    return subprocess.Popen(
      [sys.executable, "-c", program, *map(str, arguments)],
      cwd=paths.ROOT,
      stdout=file,
      stderr=subprocess.STDOUT,
    )


def run_two(program, folder, *arguments, count=2):
  """Runs two processes of one program, which are to find each other.

  Args:
    program: as text.
    folder: for what they print.
    *arguments: of both; a port and the number of the process follow them.
    count: how many, if not two.
  """
  with socket.socket() as s:
    s.bind(("localhost", 0))
    port = s.getsockname()[1]
  logs = [folder / f"{i}.log" for i in range(count)]
  processes = [
    start(program, log, *arguments, port, i) for i, log in enumerate(logs)
  ]
  try:
    for process, log in zip(processes, logs, strict=True):
      assert process.wait(timeout=600) == 0, log.read_text()
  finally:
    for process in processes:  # if one died, the other waits for it
      process.kill()
