"""Writes files atomically, so that none is ever seen half-written."""

import os
import re
from typing import Sequence
import uuid

import tensorflow as tf

from axial_tf import errors
from axial_tf.files import paths

# Bytes of a name to which a suffix is added, which must not become too long.
_LONGEST = 200


def write(path: str, content: bytes) -> None:
  """Writes a file as a whole or not at all; makes its folder if needed.

  The bytes go to a temporary file first, which is then renamed to `path`.

  Args:
    path: local path, or one of a file system that tf.io.gfile knows (gs://).
    content: content of the file.

  Raises:
    errors.UserError: the file cannot be written.
  """
  # TensorFlow takes str as UTF-8 only, but bytes in any encoding.
  final = os.fsencode(path)
  folder, name = os.path.split(final)
  temporary = os.path.join(
      folder, name[:_LONGEST] + f'.{uuid.uuid4().hex}.tmp'.encode())
  try:
    tf.io.gfile.makedirs(folder or b'.')
    try:
      with tf.io.gfile.GFile(temporary, 'wb') as file:
        file.write(content)
      tf.io.gfile.rename(temporary, final, overwrite=True)
    except BaseException:  # Even Ctrl-C leaves nothing behind.
      if tf.io.gfile.exists(temporary):
        tf.io.gfile.remove(temporary)
      raise
  except tf.errors.OpError as error:
    raise errors.UserError(
        f'{path}: cannot be written ({error.message}); give another '
        f'folder') from error


def remove_unfinished(folder: str, endings: Sequence[str]) -> None:
  """Removes temporary files that processes left when they were killed.

  Args:
    folder: folder to which no other process is writing.
    endings: endings of the files that they were writing, such as '.json'.
  """
  for entry in paths.listdir(folder):
    found = re.fullmatch(r'(.*)\.[0-9a-f]{32}\.tmp', entry, re.DOTALL)
    if found and (found[1].endswith(tuple(endings))
                  or len(os.fsencode(found[1])) == _LONGEST):
      tf.io.gfile.remove(os.fsencode(os.path.join(folder, entry)))
