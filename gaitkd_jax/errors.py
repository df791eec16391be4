"""The one exception type that ends in a message rather than a traceback."""


class UserError(ValueError):
  """A mistake that the user can mend.

  Its text is one line: what is wrong, where, and what to do. The command line
  prints it on standard error and exits with status 2.
  """
