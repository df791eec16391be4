"""A user's mistake is one line on standard error and status 2."""

import pytest

from tests.helpers import command

CASIAB = "--config=configs/gaitbase.py:casiab_smoke"


@pytest.mark.parametrize(
  "args, words",
  [
    ((), "--config"),
    (("--config=configs/none.py",), "configs/none.py"),
    (("--config=configs/casiab.py:smok",), "no variant 'smok'"),
    ((CASIAB, "--config.optim.learning_rat=1"), "learning_rat"),
    ((CASIAB, "--config.foo=1"), "foo"),
    ((CASIAB, "--config.train.steps=many"), "many"),
    ((CASIAB, "--mode=fly"), "fly"),
    ((CASIAB, "surplus"), "surplus"),
    ((CASIAB, "--config.data.root=/no/such"), "/no/such"),
  ],
)
def test_one_line_and_status_2(tmp_path, args, words):
  done = command.run(*args, f"--workdir={tmp_path / 'run'}")
  assert done.returncode == 2, done.stderr
  assert words in done.stderr
  assert done.stderr.count("\n") == 1, done.stderr
  assert not list(tmp_path.rglob("metrics.jsonl"))
