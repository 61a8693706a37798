"""Defines UserError, and shortens library errors to one line."""


def first_line(error: BaseException) -> str:
  """Returns the first non-empty line of an error, or else its type."""
  lines = [line.strip() for line in str(error).splitlines() if line.strip()]
  return lines[0] if lines else type(error).__name__


class UserError(ValueError):
  """Invalid user input: data, configuration, files or arguments.

  The message is one line: what was expected, what was given and what to do.
  Command-line tools print it without a traceback and exit with status 1.
  """
