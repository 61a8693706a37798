"""Finds the spec and the splits of a folder of records."""

import dataclasses
import os
import sys
from typing import Any, Callable, Iterator, Optional, Sequence, Tuple

import tensorflow as tf
from tqdm import tqdm

from axial_tf import errors
from axial_tf.data.classification import pipeline as classification_pipeline
from axial_tf.data.common import record_checks, record_files
from axial_tf.data.panoptic import records as panoptic_records
from axial_tf.files import paths
from axial_tf.specs import dataset_spec, specs

# Names of splits, by their beginnings: train, training, train2017, ...
_TRAINING, _VALIDATION = 'train', 'val'
_FRACTION = (
    'convert the data again with --val_fraction=0.2, which divides them, or '
    'with --split=val')


@dataclasses.dataclass(frozen=True)
class RecordFolder:
  """A folder of records that an experiment can be planned for.

  Attributes:
    path: the folder.
    info_path: its dataset_info.json.
    spec: meaning of the labels.
    train_split, validation_split: names of the two splits.
    train_files, validation_files: their shards.
    num_train, num_validation: their numbers of images.
    class_images: number of training images of each class, by label; empty if
      they were not counted.
  """

  path: str
  info_path: str
  spec: specs.Spec
  train_split: str
  validation_split: str
  train_files: record_files.RecordFiles
  validation_files: record_files.RecordFiles
  num_train: int
  num_validation: int
  class_images: Tuple[int, ...] = ()

  @property
  def is_panoptic(self) -> bool:
    return isinstance(self.spec, dataset_spec.DatasetSpec)

  @property
  def schema(self) -> record_checks.Schema:
    """Schema of the records."""
    return (panoptic_records.SCHEMA if self.is_panoptic
            else classification_pipeline.schema())


def find(path: str, train_split: Optional[str] = None,
         validation_split: Optional[str] = None) -> RecordFolder:
  """Looks into a folder of records.

  Args:
    path: folder that data_prep.convert has written.
    train_split: name of the training split; None finds it by its name.
    validation_split: the same for validation.

  Raises:
    errors.UserError: there are no records or no spec, a split is missing, or
      its records do not fit the spec.
  """
  if path.startswith(record_files.TFDS):
    raise errors.UserError(
        f'--records: expected a folder of data_prep.convert, got {path}; copy '
        f'an experiment of gin_configs/ for data of tensorflow-datasets')
  paths.require_reachable(path)
  path = path if paths.is_remote(path) else os.path.abspath(path)
  info_path = os.path.join(path, record_files.DATASET_INFO)
  if not tf.io.gfile.exists(info_path):
    raise errors.UserError(
        f'{path}: expected a folder with {record_files.DATASET_INFO}, which '
        f'holds the spec of its records, found none; give the --output_dir of '
        f'data_prep.convert, or convert the data with it')
  info = record_checks.read_info(info_path)
  spec = specs.from_json(info['spec'], info_path)
  names = list(info['splits'])
  train = _split(path, names, train_split, _TRAINING, (
      'convert --split=train into the same --output_dir, or name the split '
      'with --train_split'))
  validation = _split(path, names, validation_split, _VALIDATION, (
      f'{_FRACTION}, or name the split with --validation_split'))
  folder = RecordFolder(
      path, info_path, spec, train, validation,
      *(record_files.verify_shards(record_files.shard_pattern(path, split))
        for split in (train, validation)),
      *(_num_images(info, split, info_path) for split in (train, validation)))
  for files in (folder.train_files, folder.validation_files):
    record_checks.check_spec(files, spec, folder.schema)
  if folder.is_panoptic:
    return folder
  images = info['splits'][train].get('counts', {}).get('images', {})
  return dataclasses.replace(folder, class_images=tuple(
      int(images.get(str(label), 0)) for label in range(spec.num_classes)))


def sample(folder: RecordFolder, count: int,
           decode: Callable[[tf.Tensor], Any]) -> Iterator[Any]:
  """Yields decoded training records, as many of each shard as of others.

  Args:
    folder: the records.
    count: number of records, about; all of them if there are fewer.
    decode: decodes a serialized record.

  Raises:
    errors.UserError: a record cannot be read.
  """
  files = folder.train_files
  share = -(-count // len(files.paths))
  with record_checks.reading_errors(decode, *files.paths), tqdm(
      desc='measure', unit=' images', total=min(count, folder.num_train),
      file=sys.stderr) as bar:
    for path in files.paths:
      for serialized in tf.data.TFRecordDataset(
          path, files.compression).take(share):
        yield decode(serialized)
        bar.update()


def _split(path: str, names: Sequence[str], given: Optional[str], start: str,
           advice: str) -> str:
  """Returns the split that is given, or the first one of this beginning."""
  found = [name for name in names
           if (name == given if given else name.startswith(start))]
  if not found:
    raise errors.UserError(
        f'{path}: expected the split {given or start!r}, found '
        f'{", ".join(names) or "none"}; {advice}')
  return found[0]


def _num_images(info, split: str, info_path: str) -> int:
  try:
    return int(info['splits'][split]['num_images'])
  except (KeyError, TypeError, ValueError) as error:
    raise errors.UserError(
        f'{info_path}: expected the number of images of {split!r} under '
        f'num_images; convert the data again') from error
