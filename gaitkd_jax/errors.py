"""The exception for users' mistakes, which end without a traceback."""


class UserError(ValueError):
  """A mistake that the user can correct.

  Its text is one line: what is wrong, where, and what to do. The command line
  prints it on standard error and exits with status 2.
  """
