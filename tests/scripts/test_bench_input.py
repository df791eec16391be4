"""The program that times the input pipeline."""

import re

from tests.helpers import command


def test_rates_of_every_number_of_threads_are_printed():
  args = "--store 3 2 8 --identities 2 --sequences 2 --frames 4 --batches 1"
  args += " --repetitions 1 --threads 1 2 --all"
  printed = command.output(*args.split(), program=("scripts/bench_input.py",))
  title, *rows = printed.splitlines()
  assert title.startswith("6 sequences of 8 frames, 0.00 GiB, ")
  assert len(rows) == 2
  for threads, row in enumerate(rows, 1):
    found = re.match(r"(\d) threads: cold (\d+), warm (\d+) sequences/s", row)
    assert found and int(found[1]) == threads, row
    assert int(found[2]) > 0 and int(found[3]) > 0
    assert re.search(r"CPU \d+ us a sequence, resident \d.\d\d GiB", row), row
