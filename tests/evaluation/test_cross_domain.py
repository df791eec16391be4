"""A network of the embedded data, tested on trees of other data sets."""

import json

import pytest

from gaitkd_jax import errors
from gaitkd_jax.evaluation import cross_domain
from gaitkd_jax.evaluation import evaluate
from gaitkd_jax.evaluation import metrics as metrics_lib
from tests.helpers import command
from tests.helpers import mistakes
from tests.helpers import trees
from tests.helpers import untrained

changed = untrained.changed


@pytest.fixture(scope="module")
def config(tmp_path_factory):
  """An untrained network, and a folder where nothing is prepared yet."""
  root = tmp_path_factory.mktemp("cross_domain")
  trees.write(root / "casiab", "casiab", subjects=6, frames=4)
  trees.write(root / "gait3d", "gait3d", subjects=6, frames=4)
  c = untrained.config(root / "prepared", root)
  return changed(c, **{"eval.report": False}), root


@pytest.fixture(scope="module")
def tested(config):
  """What two data sets gave, and what was printed."""
  c, root = config
  (root / "run" / "eval").mkdir(parents=True)
  own = {"step": 4, "protocol": "casiab", "NM/rank1": 12.5, "mean/rank1": None}
  (root / "run" / "eval" / "4.json").write_text(json.dumps(own))
  on = f"casiab:{root / 'casiab'},gait3d:{root / 'gait3d'}"
  return cross_domain.evaluate_on(c, root / "run", on)


def test_each_is_scored_by_its_own_protocol(config, tested):
  c, root = config
  assert list(tested) == ["casiab", "gait3d"]
  assert {"NM/rank1", "BG/rank1", "CL/rank1", "NM/EER"} < set(tested["casiab"])
  assert {"all/mAP", "all/mINP", "all/EER"} < set(tested["gait3d"])
  for name, found in tested.items():
    path = root / "run" / "eval" / f"4_on_{name}.json"
    written = json.loads(path.read_text())
    assert written["protocol"] == name and written["step"] == 4
    for key, value in found.items():
      assert written[key] == pytest.approx(value) or value != value
  # By hand: the data set and its protocol, key by key.
  by_hand = changed(
    c,
    **{
      "data.name": "gait3d",
      "data.root": str(root / "gait3d"),
      "eval.protocol": "gait3d",
    },
  )
  expected = evaluate.evaluate_checkpoint(by_hand, root / "by_hand")
  assert expected == pytest.approx(tested["gait3d"], nan_ok=True)
  # The config, and what it wrote, are as they were.
  assert len(c.eval.data) == 0 and c.eval.protocol == "casiab"
  kept = json.loads((root / "run" / "eval" / "4.json").read_text())
  assert kept["NM/rank1"] == 12.5


@pytest.mark.slow
def test_all_by_the_command_line(config, tested):
  c, root = config
  arguments = (
    "--config=configs/walkers_baseline.py:smoke",
    f"--workdir={root / 'run'}",
    f"--config.data.prepared={root / 'prepared'}",
    f"--config.eval.checkpoint={c.eval.checkpoint}",
  )
  text = command.output(*arguments, "--mode=eval", "--on=all")
  lines = text[text.index("Step 4 on 3 data sets (%)") :].splitlines()
  casiab = {k: f"{v:.2f}" for k, v in tested["casiab"].items()}
  gait3d = {k: f"{v:.2f}" for k, v in tested["gait3d"].items()}
  assert [" ".join(line.split()) for line in lines[1:5]] == [
    "Rank-1 mAP Rank-1 by condition",
    "walkers:tiny (own) - NM 12.50",
    f"casiab (halves) {casiab['mean/rank1']} NM {casiab['NM/rank1']} "
    f"BG {casiab['BG/rank1']} CL {casiab['CL/rank1']}",
    f"gait3d (halves) {gait3d['all/rank1']} {gait3d['all/mAP']}",
  ]
  assert lines[5].startswith(f"not at hand in {root / 'prepared'}: ")
  assert "oumvlp" in lines[5] and "casiab" not in lines[5]
  assert len(lines) == 6
  error = command.mistake(*arguments, "--on=all")
  assert "--mode is train; give --mode=eval" in error
  error = command.mistake(*arguments, "--mode=eval", "--on=casia")
  assert "no data set 'casia'" in error


def test_what_cannot_be_tested_is_said_before_work_is_done(config, tmp_path):
  c, root = config
  run = cross_domain.evaluate_on
  for on, words in (
    ("oumvlp", "oumvlp: it is not prepared in"),
    ("walkers:huge", "--on=walkers:huge: data.variant: there is no walkers"),
    (f"casiab:{root / 'none'}", "--on=casiab: data.root"),
  ):
    assert words in mistakes.message(run, c, tmp_path / "run", on)
  empty = changed(c, **{"data.prepared": str(tmp_path / "empty")})
  text = mistakes.message(run, empty, tmp_path / "run", "all")
  assert text.startswith("--on=all: nothing else is at hand in ")
  assert "(walkers, casiab, oumvlp" in text
  nothing = changed(c, **{"eval.checkpoint": ""})
  text = mistakes.message(run, nothing, tmp_path / "run", "walkers:tiny")
  assert "there is no checkpoint" in text
  assert not (tmp_path / "run" / "eval").exists()
  with pytest.raises(errors.UserError, match="--mode is embed"):
    cross_domain.mode("all", "embed")


@pytest.mark.slow
def test_a_set_that_cannot_be_scored_is_not_at_hand(config, tmp_path, capsys):
  """Of all; what is named has to be scored."""
  c, _ = config
  trees.write(tmp_path / "casiab", "casiab", subjects=2, frames=2)
  trees.write(tmp_path / "grew", "grew", subjects=["00001train"], frames=2)
  c = changed(c, **{"data.prepared": str(tmp_path / "prepared")})
  on = f"grew:{tmp_path / 'grew'}"
  text = mistakes.message(cross_domain.evaluate_on, c, tmp_path / "run", on)
  assert text.startswith("--on=grew: ")
  cross_domain.evaluate_on(c, tmp_path / "run", f"casiab:{tmp_path / 'casiab'}")
  capsys.readouterr()
  found = cross_domain.evaluate_on(c, tmp_path / "run", "all")
  assert list(found) == ["casiab"]
  last = capsys.readouterr().out.splitlines()[-1]
  assert f", grew ({text.removeprefix('--on=grew: ')})" in last


def row(name, condition, metrics):
  primary = metrics_lib.MetricName(condition, "rank1")
  return cross_domain.Row(name, primary, metrics)


def test_the_table():
  text = cross_domain.format_table(
    [
      row(
        "casiab",
        "mean",
        {
          "NM/view/000": 1.0,
          "NM/rank1": 97.6,
          "NM/rank1_identical_view": 99.0,
          "BG/rank1": float("nan"),
          "mean/rank1": 88.0,
          "NM/EER": 3.0,
        },
      ),
      row("gait3d", "all", {"all/rank1": 63.3, "all/mAP": 52.123}),
      row(
        "sustech1k",
        "overall",
        {"normal/rank1": 8.0, "overall/rank1": 7.0, "overall/rank5": 9.0},
      ),
    ]
  )
  assert text.splitlines() == [
    "           Rank-1    mAP  Rank-1 by condition",
    "casiab      88.00         NM 97.60  BG -",
    "gait3d      63.30  52.12",
    "sustech1k    7.00         normal 8.00",
  ]
