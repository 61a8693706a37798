"""What records hold: do they fit the spec, and which one is damaged."""

import contextlib
import dataclasses
import os
from typing import Any, Callable, Dict, Optional, Union

import numpy as np
import tensorflow as tf

from axial_tf import errors
from axial_tf.data.classification import records as classification_records
from axial_tf.data.common import record_bytes, record_files
from axial_tf.data.panoptic import records
from axial_tf.files import image_decoding, json_files
from axial_tf.specs import class_spec, dataset_spec

# Marks the text of an assertion inside tf.data that is meant for the user.
USER_MESSAGE = 'axial_tf: '

_INFO = 'the dataset_info.json of data_prep'
_INFO_ADVICE = 'copy or convert the data again, or delete this file'

Spec = Union[dataset_spec.DatasetSpec, class_spec.ClassSpec]


@dataclasses.dataclass(frozen=True)
class Schema:
  """A kind of record.

  Attributes:
    decode: makes a dict of tensors from one serialized record.
    problem: says in a few words why a decoded record (of numpy arrays) cannot
      be trained on with a spec, None if it can.
  """

  decode: Callable[[tf.Tensor], Dict[str, tf.Tensor]]
  problem: Callable[[Dict[str, np.ndarray], Any], Optional[str]]


def check_spec(
    files: record_files.RecordFiles, spec: Spec,
    schema: Optional[Schema] = None) -> None:
  """Checks that shards were made for a spec, by their first record.

  Compares dataset_info.json too, if the shards have one beside them: the
  meaning of the labels and the number of records.

  Args:
    files: the shards.
    spec: what their labels should mean.
    schema: the kind of the records, `PANOPTIC` if not given.

  Raises:
    errors.UserError: labels that the spec does not know, no label at all, a
      record that cannot be decoded, or too few records.
  """
  schema = schema or PANOPTIC
  for folder in sorted({os.path.dirname(path) for path in files.paths}):
    info_path = os.path.join(folder, record_files.DATASET_INFO)
    if tf.io.gfile.exists(info_path):
      info = read_info(info_path)
      compare_specs(info_path, info['spec'], spec)
      _compare_counts(folder, info['splits'], files)
  first = tf.data.TFRecordDataset(
      list(files.paths), files.compression).take(1).map(schema.decode)
  with reading_errors(*files.paths):
    example = next(first.as_numpy_iterator(), None)
  if example is None:
    raise errors.UserError(
        f'{files.paths[0]}: no record can be read from it; copy or convert it '
        f'again')
  problem = schema.problem(example, spec)
  if problem:
    raise errors.UserError(f'{files.paths[0]}: its first record {problem}')


@contextlib.contextmanager
def reading_errors(*patterns: Optional[str]):
  """Turns the errors of a loop over records into UserErrors naming the file.

  Wrap it around whatever iterates over the datasets. Only after a failure are
  the shards matching `patterns` read once more, to find the damaged one.

  Raises:
    errors.UserError: a record that is damaged or cannot be decoded.
  """
  try:
    yield
  except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
    fault = None
    if USER_MESSAGE in error.message:
      fault = error.message.split(USER_MESSAGE)[1].split(';')[0]
    elif (isinstance(error, tf.errors.DataLossError)
          or 'IteratorGetNext' in error.message):
      fault = _find_fault(patterns)
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


def compare_specs(info_path: str, content, spec: Spec) -> None:
  """Compares the spec of a dataset_info.json with that in use.

  Raises:
    errors.UserError: a label means something else in them.
  """
  try:
    written = type(spec).from_json(content, source=info_path)
  except errors.UserError as error:
    raise errors.UserError(
        f'{info_path}: the records beside it were not made with a '
        f'{type(spec).__name__} ({error}); configure records of the right '
        f'kind') from error
  if not written.has_same_labels(spec):
    raise errors.UserError(
        f'{info_path}: the records were made with the spec {written.name!r} '
        f'({written.summary()}), but {spec.name!r} ({spec.summary()}) is '
        f'configured; convert the data with it or configure the other')


def _panoptic_problem(example, spec: dataset_spec.DatasetSpec
                      ) -> Optional[str]:
  panoptic = example['panoptic']
  if (panoptic == records.UNLABELED).all():
    return 'has no label; training and validation need labeled records'
  known = {*spec.thing_ids, *spec.stuff_ids, spec.ignore_label}
  unknown = set(np.unique(panoptic // spec.label_divisor).tolist()) - known
  if unknown:
    return (f'holds the train id {min(unknown)}, which the spec {spec.name!r} '
            f'does not have; use the spec with which the records were made')
  return None


PANOPTIC = Schema(records.decode_panoptic_example, _panoptic_problem)


def _decode(serialized: tf.Tensor) -> None:
  """Decodes a record of either kind, to see whether it can be decoded."""
  features = tf.train.Example.FromString(serialized.numpy()).features.feature
  if classification_records.LABEL in features:
    image_decoding.decode(
        classification_records.parse_classification_example(
            serialized)['encoded'])
  else:
    records.decode_panoptic_example(serialized)


def _find_fault(patterns) -> Optional[str]:
  """Describes the first record that cannot be read or decoded, or None."""
  for pattern in filter(None, patterns):
    for path in record_files.find(pattern):
      number = 0
      try:
        for serialized in tf.data.TFRecordDataset(
            path, record_bytes.compression_of(path)):
          _decode(serialized)
          number += 1
      except tf.errors.DataLossError:
        return (f'{path} is damaged after {number} records (its checksums do '
                f'not agree); copy or convert it again')
      except tf.errors.InvalidArgumentError as error:
        reason = ' '.join(error.message.split())[:200]
        return (f'{path}: record {number} cannot be decoded ({reason}); '
                f'convert the data again')
  return None
