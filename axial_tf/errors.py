"""The one exception that stands for a user's mistake, and others' words."""


def first_line(error: BaseException) -> str:
  """Returns the first line of an error that has any, or else its type."""
  lines = [line.strip() for line in str(error).splitlines() if line.strip()]
  return lines[0] if lines else type(error).__name__


class UserError(ValueError):
  """Bad input from outside: data, configuration, files or arguments.

  The message is one line that says what was expected, what came and what to
  do. Command-line tools print it without a traceback and exit with status 1.
  """
