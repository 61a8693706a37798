"""The one exception that stands for a user's mistake."""


class UserError(ValueError):
  """Bad input from outside: data, configuration, files or arguments.

  The message is one line that says what was expected, what came and what to
  do. Command-line tools print it without a traceback and exit with status 1.
  """
