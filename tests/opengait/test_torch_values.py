"""What names in a PyTorch file stand for."""

import pytest

from gaitkd_jax.opengait import torch_values


@pytest.mark.parametrize(
  "shape, strides, offset, last",
  [
    ((), (), 3, 4),
    ((2, 3), (3, 1), 0, 6),
    ((2, 3), (1, 2), 1, 7),
    ((5,), (0,), 2, 3),
    ((0, 9), (9, 1), 7, 0),
  ],
)
def test_extent(shape, strides, offset, last):
  storage = torch_values.Storage("0", "float32", 100)
  view = torch_values.View(storage, "float32", offset, shape, strides)
  assert torch_values.extent(view) == last


def test_bytes_of_a_storage():
  assert torch_values.Storage("0", "bfloat16", 3).bytes == 6
  assert torch_values.Storage("0", "untyped", 3).bytes == 3


def test_only_listed_names_mean_something():
  assert torch_values.find("torch.bfloat16")
  with pytest.raises(torch_values.RefusedError, match=r"refused os\.system"):
    torch_values.find("os.system")


def test_printable_is_one_short_line():
  assert torch_values.printable("a\nb\x1b[0m") == "a?b?[0m"
  assert len(torch_values.printable("x" * 1000)) == 100
  assert torch_values.printable(3) == "a int"
