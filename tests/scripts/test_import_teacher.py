"""The program that makes a teacher of another program's outputs."""

import json

import numpy as np
import pytest

from tests.distill.cache import test_imports
from tests.helpers import command
from tests.helpers import imported

PROGRAM = ("scripts/import_teacher.py",)


def flags(tmp_path, *more):
  return (
    f"--clips={tmp_path / 'clips'}",
    f"--outputs={tmp_path / 'outputs'}",
    f"--output={tmp_path / 'store'}",
    "--name=dino",
    *more,
  )


def test_a_store_and_how_to_train_with_it(tmp_path):
  seals = imported.index(tmp_path / "clips", 10, 4)
  test_imports.outputs_of(tmp_path / "outputs", seals, classifies=False)
  error = command.mistake(*flags(tmp_path, "--edges=0:0.5,x"), program=PROGRAM)
  assert "--edges has 'x'; give top:bottom of every part" in error
  assert not (tmp_path / "store").exists()
  edges = "--edges=0:0.5,0.5:1,0:1"
  printed = command.output(
    *flags(tmp_path, edges, "--dtype=float16"), program=PROGRAM
  )
  assert "teacher dino, 10 clips, 3 parts of 2 channels, no logits" in printed
  assert f"cache={tmp_path / 'store'}" in printed
  header = json.loads((tmp_path / "store" / "header.json").read_text())
  edges = [[0.0, 0.5], [0.5, 1.0], [0.0, 1.0]]
  assert header["imported"] == {"name": "dino", "edges": edges}
  assert len(header["digest"]) == 64


@pytest.mark.slow
def test_from_clips_to_a_trained_student(prepared, tmp_path):
  """By the command line alone; numpy is the other framework."""
  common = (
    "--config=configs/walkers.py:smoke",
    f"--config.data.prepared={prepared}",
  )
  error = command.mistake(
    *common, f"--workdir={tmp_path}", "--cache.clips_only"
  )
  assert "--mode=train writes no clips; give --mode=cache" in error
  command.output(
    *common, f"--workdir={tmp_path}", "--mode=cache", "--cache.clips_only"
  )
  (tmp_path / "outputs").mkdir()
  subjects = 0
  for stem, arrays in imported.read_clips(tmp_path / "clips").items():
    clips = arrays["silhouettes"].mean(1).reshape(-1, 4, 16 * 44)
    subjects = max(subjects, arrays["labels"].max() + 1)
    centres = np.random.default_rng(0).normal(size=(clips.shape[2], subjects))
    np.savez(
      tmp_path / "outputs" / f"{stem}.npz",
      embedding=clips / 255,
      logits=np.tanh(clips @ centres / 1e4),
      row=arrays["row"],
      digest=arrays["digest"],
    )
  command.output(*flags(tmp_path), program=PROGRAM)
  command.output(
    *common,
    f"--workdir={tmp_path / 'run'}",
    f"--config.teachers.deepgaitv2.cache={tmp_path / 'store'}",
    "--config.teachers.deepgaitv2.model.name=imported",
    "--config.teachers.deepgaitv2.checkpoint=",
    "--config.teachers.deepgaitv2.connector=True",
    "--config.distillation.parts=overlap",
  )
  log = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
  first = json.loads(log[0])
  # 8 of 32 classes are subjects of the embedded data's trial.
  assert subjects == 8
  assert first["train/decision/deepgaitv2"] > 0
  assert first["train/boundary/deepgaitv2"] > 0
