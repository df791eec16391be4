"""The best and the worst probes in words and pictures."""

import numpy as np

from gaitkd_jax.evaluation.report import cards
from gaitkd_jax.evaluation.report import matches

NAMES = [f"sequence {i}" for i in range(4)]
RIGHT = matches.Match(1, 1200, 2.5)
WRONG = matches.Match(2, 1, 1.25)


def shown(condition="NM"):
  return matches.Shown(condition, 0, 3000, RIGHT, (WRONG,))


def test_a_card_tells_ranks_names_and_distances():
  asked = []

  def strips(row, frames):
    asked.append(row)
    return np.zeros((frames, 4, 3), np.uint8)

  section = cards.probes(matches.Extremes((shown(),), (), {}), NAMES, strips)
  text = section.content
  assert asked == [0, 2, 1]  # the probe, then by rank
  assert "right match at rank 1,200 of 3,000" in text
  for words in ("Probe", "Wrong, rank 1", "Right, rank 1,200"):
    assert f"<b>{words}</b>" in text
  assert "sequence 2 · 1.250" in text
  assert text.count("<img") == 3 and "8 silhouettes of sequence 0" in text
  assert "<em>" not in text  # one condition needs no name
  assert "No probe has a right item nearest" in text


def test_several_conditions_are_named():
  both = matches.Extremes((shown(),), (shown("CL"),), {"CL": 1500})
  section = cards.probes(both, NAMES, lambda row, frames: None)
  assert "<em>NM</em>" in section.content and "<em>CL</em>" in section.content
  assert section.note.startswith("As many of each condition.")
  assert "Without any right item to find: 1,500 in CL." in section.note
  assert "No silhouettes were at hand" in section.note
