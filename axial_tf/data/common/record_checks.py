"""Checks from their first record that shards were made for a spec."""

import contextlib
import dataclasses
import os
from typing import Any, Callable, Dict, Optional

import numpy as np
import tensorflow as tf

from axial_tf import errors
from axial_tf.data.common import record_bytes, record_files
from axial_tf.files import json_files
from axial_tf.specs import specs

# Enclose the text of an assertion inside tf.data that is meant for the user.
_MESSAGE, _END = 'axial_tf: ', ' [end]'

_INFO = 'the dataset_info.json of data_prep'
_INFO_ADVICE = 'copy or convert the data again, or delete this file'


@dataclasses.dataclass(frozen=True)
class Schema:
  """A type of record.

  Attributes:
    decode: makes a dict of tensors from one serialized record.
    problem: returns in a few words why a decoded record (of numpy arrays)
      cannot be used with a spec, None if it can.
  """

  decode: Callable[[tf.Tensor], Dict[str, tf.Tensor]]
  problem: Callable[[Dict[str, np.ndarray], Any], Optional[str]]


def check_spec(
    files: record_files.RecordFiles, spec: specs.Spec, schema: Schema) -> None:
  """Checks from their first record that shards were made for a spec.

  Also compares the dataset_info.json next to the shards, if there is one: the
  meaning of the labels and the number of records.

  Args:
    files: the shards.
    spec: spec that their labels should follow.
    schema: schema of the records.

  Raises:
    errors.UserError: labels that the spec does not know, no label at all, a
      record that cannot be decoded, or too few records.
  """
  for folder in sorted({os.path.dirname(path) for path in files.paths}):
    info_path = os.path.join(folder, record_files.DATASET_INFO)
    if tf.io.gfile.exists(info_path):
      info = read_info(info_path)
      compare_specs(info_path, info['spec'], spec)
      _compare_counts(folder, info['splits'], files)
  first = tf.data.TFRecordDataset(
      list(files.paths), files.compression).take(1).map(schema.decode)
  with reading_errors(schema.decode, *files.paths):
    example = next(first.as_numpy_iterator(), None)
  if example is None:
    raise errors.UserError(
        f'{files.paths[0]}: no record can be read from it; copy or convert it '
        f'again')
  problem = schema.problem(example, spec)
  if problem:
    raise errors.UserError(f'{files.paths[0]}: its first record {problem}')


def user_message(text: str) -> str:
  """Returns the text of an assertion that `reading_errors` shows to users."""
  return f'{_MESSAGE}{text}{_END}'


@contextlib.contextmanager
def reading_errors(decode: Callable[[tf.Tensor], Any],
                   *patterns: Optional[str]):
  """Turns the errors of a loop over records into UserErrors naming the file.

  Wrap it around whatever iterates over the datasets. Only after a failure are
  the shards matching `patterns` read once more, to find the damaged one.

  Args:
    decode: function that decodes one serialized record, or fails.
    *patterns: patterns of the shards; None is skipped.

  Raises:
    errors.UserError: a record that is damaged or cannot be decoded.
  """
  try:
    yield
  except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
    fault = None
    if _MESSAGE in error.message:
      fault = error.message.split(_MESSAGE)[1].split(_END)[0]
    elif (isinstance(error, tf.errors.DataLossError)
          or 'IteratorGetNext' in error.message):
      fault = _find_fault(decode, patterns)
    if fault is None:
      raise
    raise errors.UserError(fault) from error


def read_info(info_path: str) -> Dict[str, Any]:
  """Returns 'spec' and 'splits' of a dataset_info.json.

  Raises:
    errors.UserError: it is not readable.
  """
  info = json_files.read(info_path, _INFO, _INFO_ADVICE)
  try:
    return {'spec': info['spec'], 'splits': dict(info['splits'])}
  except (KeyError, TypeError, ValueError) as error:
    raise errors.UserError(
        f'{info_path}: not readable as {_INFO}; {_INFO_ADVICE}') from error


def _compare_counts(folder: str, splits, files) -> None:
  """Finds shards cut off exactly between two records."""
  for split, entry in splits.items():
    counts = [count for path, count in zip(files.paths, files.counts)
              if os.path.dirname(path) == folder
              and record_files.split_of(path) == split]
    if counts and None not in counts and sum(counts) != entry['num_images']:
      raise errors.UserError(
          f'{folder}: the shards of {split!r} hold {sum(counts)} records, but '
          f'{entry["num_images"]} were written; copy or convert them again')


def compare_specs(info_path: str, content, spec: specs.Spec) -> None:
  """Compares the spec of a dataset_info.json with the one in use.

  Raises:
    errors.UserError: a label has different meanings in them.
  """
  try:
    written = type(spec).from_json(content, source=info_path)
  except errors.UserError as error:
    raise errors.UserError(
        f'{info_path}: the records next to it were not made with a '
        f'{type(spec).__name__} ({error}); configure records of the right '
        f'type') from error
  if not written.has_same_labels(spec):
    raise errors.UserError(
        f'{info_path}: the records were made with the spec {written.name!r} '
        f'({written.summary()}), but {spec.name!r} ({spec.summary()}) is '
        f'configured; convert the data with it or configure the other')


def _find_fault(decode, patterns) -> Optional[str]:
  """Describes the first record that cannot be read or decoded, or None."""
  for pattern in filter(None, patterns):
    for path in record_files.find(pattern):
      number = 0
      try:
        for serialized in tf.data.TFRecordDataset(
            path, record_bytes.compression_of(path)):
          decode(serialized)
          number += 1
      except tf.errors.DataLossError:
        return (f'{path} is damaged after {number} records (its checksums do '
                f'not agree); copy or convert it again')
      except tf.errors.InvalidArgumentError as error:
        reason = ' '.join(error.message.split())[:200]
        return (f'{path}: record {number} cannot be decoded ({reason}); '
                f'convert the data again')
  return None
