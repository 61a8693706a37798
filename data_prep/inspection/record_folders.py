"""Finds the given shards and their spec, and checks that none is missing."""

import collections
import os
from typing import Any, Dict, List, Mapping, Optional, Sequence

import tensorflow as tf

from axial_tf import errors
from axial_tf.data.common import record_checks, record_files
from axial_tf.files import json_files
from axial_tf.files import paths as paths_lib
from axial_tf.specs import dataset_spec, specs


def find(patterns: Sequence[str]) -> List[str]:
  """Returns the files that paths, glob patterns and folders refer to.

  Raises:
    errors.UserError: one of them matches no file.
  """
  paths = set()
  for pattern in patterns:
    paths_lib.require_utf8(pattern)
    paths_lib.require_reachable(pattern)
    if tf.io.gfile.isdir(pattern):
      matches = [path for ending in ('', '.gz') for path in record_files.find(
          os.path.join(pattern, f'*.tfrecord{ending}'))]
    else:
      matches = [path for path in record_files.find(pattern)
                 if not tf.io.gfile.isdir(path)]
    if not matches:
      raise errors.UserError(
          f'{pattern}: expected a TFRecord file, a pattern or a folder with '
          f'*.tfrecord files, found none; check the path')
    paths.update(matches)
  return sorted(paths)


def spec_of(paths: Sequence[str], name: Optional[str]) -> specs.Spec:
  """Returns the named spec, or the one next to the shards.

  Args:
    paths: the shards.
    name: shipped name or JSON file; None takes the dataset_info.json of the
      first shard's folder.

  Raises:
    errors.UserError: there is no spec, or it is not valid.
  """
  if name is not None:
    paths_lib.require_reachable(name)
    if tf.io.gfile.exists(name) and not tf.io.gfile.isdir(name):
      return specs.from_json(json_files.read(
          name, 'a spec or a dataset_info.json (--spec)'), name)
    return dataset_spec.DatasetSpec.load(name)
  path = _info_path(os.path.dirname(paths[0]))
  if not tf.io.gfile.exists(path):
    raise errors.UserError(
        f'--spec is missing and {path} does not exist: give the shipped name '
        f'or the JSON file of the spec that the records were made with')
  return specs.from_json(record_checks.read_info(path)['spec'], path)


def problems(paths: Sequence[str], spec: specs.Spec,
             found: Mapping[str, int], has_faults: bool) -> List[str]:
  """Returns problems: missing records, or ones made with another spec.

  Args:
    paths: the shards.
    spec: spec that they should have been made with.
    found: number of readable records of each shard.
    has_faults: whether others could not be read, so that missing records are
      already explained.
  """
  reasons = []
  if not found:
    reasons.append('there is no readable record')
  try:
    record_files.check_complete(paths)
  except errors.UserError as error:
    reasons.append(str(error))
  for folder in sorted({os.path.dirname(path) for path in paths}):
    if not tf.io.gfile.exists(_info_path(folder)):
      continue
    info = record_checks.read_info(_info_path(folder))
    try:
      record_checks.compare_specs(_info_path(folder), info['spec'], spec)
    except errors.UserError as error:
      reasons.append(str(error))
    if not has_faults:
      reasons += _missing_records(folder, info['splits'], paths, found)
  return reasons


def _missing_records(folder, splits: Dict[str, Any], paths, found) -> List[str]:
  """Compares the numbers of records with those that were written."""
  counts = collections.Counter()
  for path in paths:
    if os.path.dirname(path) == folder:
      counts[record_files.split_of(path)] += found.get(path, 0)
  return [
      f'{folder}: {split!r} has {counts[split]} records, but '
      f'{entry["num_images"]} were written; convert it again'
      for split, entry in splits.items()
      if split in counts and counts[split] != entry['num_images']]


def _info_path(folder: str) -> str:
  return os.path.join(folder, record_files.DATASET_INFO)
