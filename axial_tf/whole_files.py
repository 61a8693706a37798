"""Files that are never seen half-written."""

import os
import uuid

from axial_tf import errors


def write(path: str, content: bytes) -> None:
  """Writes a file as a whole or not at all; makes its folder if needed.

  The bytes go to a file of another name first, which then takes the place of
  an existing one.

  Raises:
    errors.UserError: the file cannot be written.
  """
  path = os.fspath(path)
  temporary = f'{path}.{uuid.uuid4().hex}.tmp'
  try:
    os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
    try:
      with open(temporary, 'xb') as file:
        file.write(content)
      os.replace(temporary, path)
    except BaseException:  # Ctrl-C, too, leaves nothing behind.
      if os.path.exists(temporary):
        os.remove(temporary)
      raise
  except OSError as error:
    raise errors.UserError(
        f'{path}: cannot be written ({error.strerror or error}); give another '
        f'folder') from error
