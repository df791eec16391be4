"""Which steps are traced, and what is written of them."""

import contextlib

import jax
import jax.numpy as jnp
import pytest

from gaitkd_jax import errors
from gaitkd_jax.training import profiling
from tests.helpers import command

Wanted = profiling.Wanted


@pytest.mark.parametrize(
  "text, steps, expected",
  [
    ("10", range(0, 100), range(5, 15)),  # the first five are warm-up
    ("10", range(40, 100), range(45, 55)),
    ("10", range(0, 12), range(2, 12)),
    ("10", range(0, 4), range(0, 4)),
    ("20:30", range(0, 100), range(20, 30)),
    ("20:30", range(25, 28), range(25, 28)),
  ],
)
def test_which_steps_are_traced(text, steps, expected):
  assert Wanted.parse(text).of(steps) == expected


@pytest.mark.parametrize("text", ["0", "-3", "x", "5:5", "9:3", "1:2:3", "1.5"])
def test_other_values_are_a_mistake(text):
  with pytest.raises(errors.UserError, match="--profile=.*100:110"):
    Wanted.parse(text)


def test_steps_that_are_done_cannot_be_traced():
  with pytest.raises(errors.UserError, match="none of the steps.*30 to 50"):
    Wanted.parse("10:20").of(range(30, 50))


def trace(wanted, workdir, steps, stop=None):
  """Steps like those of the training; returns which were paused for."""
  paused = []

  @contextlib.contextmanager
  def pause():
    paused.append(i)
    yield

  step = jax.jit(lambda x: x + 1)
  with profiling.Tracer(wanted, steps, workdir, pause) as tracer:
    for i in steps:
      tracer.before(i)
      step(jnp.zeros(3)).block_until_ready()
      tracer.after(i)
      if i == stop:
        break
  return paused


def test_files_lie_where_tensorboard_looks(tmp_path, capsys):
  assert trace(Wanted(3, 2), tmp_path, range(8)) == [2, 4]
  (folder,) = (tmp_path / "plugins" / "profile").iterdir()
  names = [file.name for file in folder.iterdir() if file.stat().st_size]
  assert any(name.endswith(".xplane.pb") for name in names)
  said = capsys.readouterr().out
  assert f"written: {folder} (a trace of 3 steps" in said


def test_nothing_is_traced_unless_it_is_asked_for(tmp_path):
  assert trace(None, tmp_path, range(8)) == []
  assert list(tmp_path.iterdir()) == []


def test_a_trace_that_is_cut_off_leaves_nothing(tmp_path):
  trace(Wanted(3, 2), tmp_path, range(8), stop=3)
  assert list(tmp_path.iterdir()) == []
  trace(Wanted(1, 2), tmp_path, range(8))  # another one can be begun
  assert list(tmp_path.iterdir())


def test_a_trace_that_cannot_be_kept_is_one_line(tmp_path, capsys):
  (tmp_path / "plugins").write_text("")
  assert trace(Wanted(3, 2), tmp_path, range(8)) == [2, 4]
  err = capsys.readouterr().err
  assert "the trace could not be written" in err and err.count("\n") == 1


def test_a_mode_without_steps_is_a_mistake():
  config = "--config=configs/walkers_baseline.py:smoke"
  said = command.mistake(config, "--profile=3", "--mode=eval")
  assert "--mode=eval traces no steps" in said
