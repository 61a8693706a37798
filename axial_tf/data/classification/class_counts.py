"""Checks that training records have images of every class, and no others."""

import collections
import os
from typing import Optional, Sequence

import tensorflow as tf

from axial_tf import errors
from axial_tf.data.common import record_checks, record_files
from axial_tf.specs import class_spec


def check_classes(paths: Sequence[str], spec: class_spec.ClassSpec,
                  first_label: int) -> None:
  """Compares the counts in dataset_info.json with the classes of the spec.

  Shards without that file, of other tools, are checked by their first record
  and by each label while training.

  Args:
    paths: the training shards.
    spec: the classes to be learned.
    first_label: the label of the first class in the records.

  Raises:
    errors.UserError: a class without images, or images of a class that the
      spec does not have.
  """
  counts = collections.Counter()
  for folder in sorted({os.path.dirname(path) for path in paths}):
    found = _counts(folder, paths)
    if found is None:
      return
    counts.update(found)
  known = {label + first_label: entry
           for label, entry in enumerate(spec.classes)}
  unknown = sorted(set(counts) - set(known))
  where = os.path.dirname(paths[0])
  if unknown:
    raise errors.UserError(
        f'{where}: holds {counts[unknown[0]]} images with the label '
        f'{unknown[0]}, expected labels {first_label}..'
        f'{first_label + spec.num_classes - 1} of the spec {spec.name!r}; '
        f'convert the data again with its spec')
  empty = [entry for label, entry in known.items() if not counts[label]]
  if empty:
    raise errors.UserError(
        f'{where}: {len(empty)} of {spec.num_classes} classes have no training '
        f'images, the first is {empty[0].id!r} ({empty[0].name}); convert the '
        f'data again with images of every class, or with a spec without them')


def _counts(folder: str, paths: Sequence[str]
            ) -> Optional[collections.Counter]:
  """Returns the number of images by label in a folder, None if not counted."""
  info_path = os.path.join(folder, record_files.DATASET_INFO)
  if not tf.io.gfile.exists(info_path):
    return None
  splits = record_checks.read_info(info_path)['splits']
  counts = collections.Counter()
  for split in {record_files.split_of(path) for path in paths
                if os.path.dirname(path) == folder}:
    images = splits.get(split, {}).get('counts', {}).get('images')
    if images is None:
      return None
    counts.update({int(label): count for label, count in images.items()})
  return counts
