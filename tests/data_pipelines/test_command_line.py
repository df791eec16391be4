"""Flags that name a data set."""

import pytest

from data_pipelines import command_line
from data_pipelines import datasets
from gaitkd_jax import errors


def parse(*arguments):
  return command_line.parser("prepare", "text").parse_args(arguments)


def test_flags_become_the_section_data_of_a_config(tmp_path):
  given = parse(
    "--dataset=walkers",
    f"--prepared={tmp_path}",
    "--modalities=silhouettes,heatmaps",
    "--pickles=silhouettes=6",
    "--partition=halves",
    "--variant=small",
  )
  data = command_line.data(given)
  assert vars(data) == dict(
    name="walkers",
    root="",
    prepared=str(tmp_path),
    variant="small",
    modalities=("silhouettes", "heatmaps"),
    pickles="silhouettes=6",
    skip_damaged=False,
    partition="halves",
    train_subjects=(),
    test_subjects=(),
  )
  # It is what a data set takes.
  builder = datasets.builder_class("walkers").from_config(data)
  assert builder.builder_config.name == "small_heatmaps"


@pytest.mark.parametrize(
  "arguments", [(), ("--dataset",), ("--dataset=walkers", "--typo=1")]
)
def test_mistakes_are_not_usage_texts(arguments, capsys):
  with pytest.raises(errors.UserError, match="see --help"):
    parse(*arguments)
  assert capsys.readouterr() == ("", "")
