"""Which classes a student shares with its teachers."""

from ml_collections import ConfigDict
import numpy as np
import pytest

from gaitkd_jax import checkpoint
from gaitkd_jax import config as config_lib
from gaitkd_jax import distill
from gaitkd_jax import errors
from tests.helpers import distillation as helpers


@pytest.mark.parametrize(
  "student, teacher, words",
  [
    (["d/a"], [], "one a line"),
    (["d/a"], ["d/b", "d/c"], "none of the student's 1"),
    (["d/a"], ["d/a"] * 6, "6 names"),
  ],
)
def test_subjects_that_cannot_be_matched(student, teacher, words):
  with pytest.raises(errors.UserError, match=words) as e:
    distill.common_classes("big", student, 4, teacher, 5)
  assert "big" in str(e.value) and "\n" not in str(e.value)


def test_names_of_classes(tmp_path):
  path = tmp_path / "names.txt"
  path.write_text("001\nother/002\n")
  assert distill.read_names(path, "casiab") == ["casiab/001", "other/002"]
  for text, words in (("", "no name"), ("1\n1\n", "twice")):
    path.write_text(text)
    with pytest.raises(errors.UserError, match=words):
      distill.read_names(path, "casiab")
  with pytest.raises(errors.UserError, match="cannot be read"):
    distill.read_names(tmp_path / "none.txt", "casiab")


def config_of(num_classes=4, **teacher):
  config = config_lib.default()
  config.data = config_lib.data("walkers")
  config.model = ConfigDict(helpers.model())
  network = ConfigDict(helpers.model(num_classes=num_classes))
  config.teachers.a = config_lib.teacher(network, **teacher)
  return config


def classes_of(config):
  teachers = distill.create_teachers(config.teachers)
  return distill.teacher_classes(config, teachers, SUBJECTS)


SUBJECTS = [f"walkers/{i:03}" for i in range(4)]


def test_equal_numbers_without_names_are_the_same_classes(capsys):
  assert classes_of(config_of(checkpoint="random")) == {"a": None}
  assert not capsys.readouterr().out


def test_a_network_without_a_classifier_is_left_out():
  assert classes_of(config_of(num_classes=0)) == {}
  config = config_of()
  config.model.num_classes = 0
  assert classes_of(config) == {}


def test_names_come_from_a_file_or_from_the_checkpoint(tmp_path, capsys):
  names = ["elsewhere/9", "walkers/002", "walkers/000"]
  (tmp_path / "names").write_text("elsewhere/9\n002\n000\n")
  checkpoint.save_model(
    tmp_path / "run", {"params": {}, "batch_stats": {}}, {"classes": names}
  )
  for given in (
    dict(classes=str(tmp_path / "names")),
    dict(checkpoint=str(tmp_path / "run")),
  ):
    found = classes_of(config_of(3, **given))["a"]
    np.testing.assert_array_equal(found, ([0, 2], [2, 1]))
    assert "teacher a knows 2 of the student's 4" in capsys.readouterr().out


def test_a_teacher_of_strangers_may_have_boundaries_to_teach(tmp_path):
  (tmp_path / "names").write_text("elsewhere/1\nelsewhere/2\n")
  config = config_of(2, classes=str(tmp_path / "names"))
  with pytest.raises(errors.UserError, match="knows none of the student's"):
    classes_of(config)
  config.teachers.a.decision_weight = 0.0
  assert classes_of(config) == {"a": distill.NO_CLASSES}
