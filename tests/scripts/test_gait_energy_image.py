"""The baseline without any training."""

from tests.helpers import command

PROGRAM = ("scripts/gait_energy_image.py",)


def test_the_table_is_printed(prepared):
  done = command.run(
    "--config=configs/walkers.py:smoke",
    f"--config.data.prepared={prepared}",
    program=PROGRAM,
  )
  assert done.returncode == 0, done.stderr
  table = done.stdout[done.stdout.index("Rank-1 (%) by probe view") :]
  rows = {line.split()[0]: line.split()[1:] for line in table.splitlines()[2:]}
  assert list(rows) == ["NM", "BG", "CL", "mean"]
  # Walkers differ in build: their shape alone tells many of them apart.
  assert 20 < float(rows["NM"][-1]) <= 100


def test_an_unknown_protocol_is_one_line(prepared):
  done = command.run(
    "--config=configs/walkers.py:smoke",
    f"--config.data.prepared={prepared}",
    "--config.eval.protocol=casia",
    program=PROGRAM,
  )
  assert done.returncode == 2, done.stderr
  assert "eval.protocol is 'casia'" in done.stderr
  assert done.stderr.count("\n") == 1, done.stderr
