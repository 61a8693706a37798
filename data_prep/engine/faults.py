"""Collects images that a conversion skips, up to a limit."""

import json
import os
from typing import Iterable, List, Tuple

import tensorflow as tf

from axial_tf import errors
from axial_tf.files import atomic_files


class Faults:
  """Collects faulty images, and ends the conversion beyond a limit.

  Attributes:
    limit: number of allowed faults.
    found: (file name, reason) of each faulty image.
  """

  def __init__(self, limit: int):
    """Makes a collection of at most `limit`; 0 makes each fault an error."""
    self.limit = limit
    self.found: List[Tuple[str, str]] = []

  def add(self, filename: str, reason: str) -> None:
    """Adds a fault.

    Raises:
      errors.UserError: it exceeds the limit.
    """
    self.found.append((filename, reason))
    if not self.limit:
      raise errors.UserError(reason)
    if len(self.found) > self.limit:
      raise errors.UserError(
          f'more than {self.limit} images are faulty, the last one: {reason}; '
          f'correct them or raise --max_errors')

  def extend(self, found: Iterable[Tuple[str, str]]) -> None:
    """Adds several faults, see `add`."""
    for filename, reason in found:
      self.add(filename, reason)


def report_path(output_dir: str, split: str) -> str:
  """Returns the path of the list of a split's faulty images."""
  return os.path.join(output_dir, f'skipped_{split}.json')


def write_report(output_dir: str, split: str, found) -> None:
  """Lists the faulty images in a file; if there are none, removes it."""
  path = report_path(output_dir, split)
  if found:
    entries = [{'filename': f, 'reason': reason} for f, reason in found]
    atomic_files.write(path, json.dumps(entries, indent=2).encode() + b'\n')
  elif tf.io.gfile.exists(path):
    tf.io.gfile.remove(path)
