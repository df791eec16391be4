"""What a user is told about a mistake."""

import pytest

from gaitkd_jax import errors


def message(function, *args, **kwargs):
  """Returns the one line of the `UserError` that a call raises."""
  with pytest.raises(errors.UserError) as caught:
    function(*args, **kwargs)
  text = str(caught.value)
  assert "\n" not in text
  return text
