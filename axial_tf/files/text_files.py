"""Reads text files as editors write them: UTF-8 or UTF-16, any line endings.

Editors on Windows put a byte-order mark in front, end lines with CR LF, or
write UTF-16. Nothing else is guessed: bytes that are not UTF-8 could be of many
encodings.
"""

import codecs
import os
from typing import List

from axial_tf import errors

_MARKS = (
    (codecs.BOM_UTF8, 'UTF-8'), (codecs.BOM_UTF16_LE, 'UTF-16-LE'),
    (codecs.BOM_UTF16_BE, 'UTF-16-BE'))


def decode(content: bytes) -> str:
  """Returns text without byte-order mark, whose lines end with LF.

  Raises:
    ValueError: bytes that are not text; the message names their line.
  """
  mark, encoding = next(
      (m for m in _MARKS if content.startswith(m[0])), (b'', 'UTF-8'))
  if not mark and 0 in content[:2]:  # No text begins with a zero character.
    encoding = 'UTF-16-LE' if content[0] else 'UTF-16-BE'
  content = content[len(mark):]
  try:
    text = content.decode(encoding)
  except UnicodeDecodeError as error:
    before = content[:error.start].decode(encoding, errors='replace')
    raise ValueError(
        f'line {before.count(chr(10)) + 1} is not {encoding} text; save the '
        f'file as UTF-8') from error
  return text.replace('\r\n', '\n').replace('\r', '\n')


def read(path: str, expected: str = 'a text file',
         advice: str = 'check the path') -> str:
  """Returns the text of a file, see `decode`.

  Args:
    path: local path or one of a remote file system (gs://).
    expected: noun phrase for errors: what the file should be.
    advice: what to do about a file that is missing or not text.

  Raises:
    errors.UserError: there is no such file, or it cannot be read.
  """
  path = os.fspath(path)
  try:
    return decode(_content(path))
  except FileNotFoundError as error:
    raise errors.UserError(
        f'{path}: no such file; expected {expected}; {advice}') from error
  except (OSError, ValueError) as error:
    reason = getattr(error, 'strerror', None) or str(error)
    raise errors.UserError(
        f'{path}: cannot be read ({reason}); expected {expected}; '
        f'{advice}') from error


def lines(path: str, expected: str = 'a text file') -> List[str]:
  """Returns the lines of a file, stripped, without empty ones at its end.

  Raises:
    errors.UserError: see `read`.
  """
  text = read(path, expected).rstrip()
  return [line.strip() for line in text.split('\n')] if text else []


def _content(path: str) -> bytes:
  """Returns the bytes of a file; errors are those of local files."""
  if '://' not in path:
    with open(path, 'rb') as file:
      return file.read()
  import tensorflow as tf  # A local file needs no TensorFlow.

  try:
    with tf.io.gfile.GFile(path, 'rb') as file:
      return file.read()
  except tf.errors.NotFoundError as error:
    raise FileNotFoundError(error.message) from error
  except tf.errors.OpError as error:
    raise OSError(errors.first_line(error)) from error
