"""Reads JSON files that users write or download."""

import json
from typing import Any

from axial_tf import errors
from axial_tf.files import text_files


def read(path: str, expected: str = 'a JSON file',
         advice: str = 'check the path') -> Any:
  """Returns the content of a JSON file, in any encoding of `text_files`.

  Args:
    path: local path or one of a remote file system (gs://).
    expected: noun phrase for errors: what the file should be.
    advice: what to do about a file that is missing or no JSON.

  Raises:
    errors.UserError: there is no such file, it cannot be read or is no JSON.
  """
  text = text_files.read(path, expected, advice)
  try:
    return json.loads(text)
  except (ValueError, RecursionError) as error:
    raise errors.UserError(
        f'{path}: not a readable JSON file ({errors.first_line(error)}); '
        f'expected {expected}; {advice}') from error
