"""The command that prepares a data set."""

import pathlib
import textwrap

import pytest

from data_pipelines import datasets
from data_pipelines import prepare
from gaitkd_jax.errors import UserError
from tests.helpers import builds
from tests.helpers import command
from tests.helpers import trees

PREPARE = ("-m", "data_pipelines.prepare")


def test_the_command_prepares_and_reports(tmp_path, capsys):
  root = tmp_path / "tree"
  trees.write(root, "ccpg", "raw", 2, 1)
  (root / "000" / "U0_D0" / "09_0").mkdir()
  arguments = ["--dataset=ccpg", f"--root={root}", f"--prepared={tmp_path}/p"]
  prepare.main(arguments)
  printed = capsys.readouterr().out
  assert "train: 14 sequences" in printed and "test: 14 sequences" in printed
  assert "skipped: 1 sequences" in printed
  report = printed.split()[-1]
  assert pathlib.Path(report).read_text().startswith(f"{root}/000/U0_D0/09_0\t")
  for bad in (["--dataset=cpg"], [], ["--dataset=ccpg", "--typo=1"]):
    with pytest.raises(UserError):
      prepare.main(bad)
  with pytest.raises(UserError, match="silhouettes"):
    prepare.main([*arguments, "--modalities=heatmap"])


def test_a_mistake_at_the_command_is_one_line():
  line = command.mistake("--dataset=oumvl", program=PREPARE)
  assert line.startswith("error: data.name")


def test_a_killed_build_starts_again(tmp_path):
  trees.write(tmp_path / "tree", "sustech1k", "raw", 4, 2)
  program = textwrap.dedent("""
    import os, signal, sys
    from tensorflow_datasets.core import writer
    from data_pipelines import prepare
    finalize, seen = writer.Writer.finalize, []
    def stop(self):
      seen.append(1)
      if len(seen) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
      return finalize(self)
    writer.Writer.finalize = stop
    prepare.main(sys.argv[1:])
  """)
  data = builds.data_of("sustech1k", tmp_path / "tree")
  done = command.run(
    "--dataset=sustech1k",
    f"--root={data.root}",
    f"--prepared={data.prepared}",
    program=("-c", program),
  )
  assert done.returncode == -9
  # One split was written, the other was not.
  assert list(pathlib.Path(data.prepared).glob("**/*incomplete*/*-train.*"))
  builder = datasets.prepare(data)
  assert {k: len(v) for k, v in builds.names(builder).items()} == {
    "train": 24,
    "test": 24,
  }


@pytest.mark.parametrize("name", ["casiab", "walkers"])
def test_a_signal_is_one_line(tmp_path, name):
  trees.write(tmp_path / "tree", "casiab", "raw", 4, 2)
  program = textwrap.dedent("""
    import os, signal, sys
    from tensorflow_datasets.core import writer
    from data_pipelines import command_line
    from data_pipelines import prepare
    write, seen = writer.Writer.write, []
    def stop(*arguments):
      seen.append(1)
      if len(seen) == 9:
        os.kill(os.getpid(), signal.SIGTERM)
      return write(*arguments)
    writer.Writer.write = stop
    command_line.run(prepare.main)
  """)
  done = command.run(
    f"--dataset={name}",
    f"--root={tmp_path / 'tree' if name == 'casiab' else ''}",
    f"--prepared={tmp_path / 'prepared'}",
    program=("-c", program),
  )
  (line,) = done.stderr.splitlines()
  assert line.startswith("stopped by SIGTERM")
  folder = tmp_path / "prepared" / name
  assert not list(folder.rglob("*incomplete*"))
  assert not list(folder.rglob("dataset_info.json"))
  kept = [f for f in folder.rglob("unfinished/train/*") if f.stat().st_size]
  if name == "casiab":
    # The same command goes on, and its text says so.
    assert done.returncode == 75 and "goes on" in line and kept
  else:
    assert done.returncode == 128 + 15 and not kept
