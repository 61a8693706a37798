"""Reads data sets prepared by tensorflow-datasets, for the pipelines.

A pattern 'tfds:NAME/SPLIT' names one, in place of a path of shards:

  tfds:imagenet2012/train
  tfds:imagenet2012:5.1.0/train[:90%]
  tfds:coco/2017_panoptic/validation

Everything up to the last slash is what `tfds.builder` takes; the rest is a
split of it. The data must have been prepared (`tfds build coco/2017_panoptic`);
the environment variable TFDS_DATA_DIR says where, if not in
~/tensorflow_datasets. Images stay encoded until a pipeline decodes them, as
those of TFRecords do.
"""

import dataclasses
from typing import Any, Callable, Dict, Optional, Tuple

import tensorflow as tf
import tensorflow_datasets as tfds

from axial_tf import errors
from axial_tf.data.common import reading, record_files


@dataclasses.dataclass(frozen=True)
class TfdsSource:
  """A split of a prepared data set; see `reading` for its methods."""

  builder: tfds.core.DatasetBuilder
  split: str
  encoded: Tuple[str, ...]  # the features that stay encoded
  decode: Callable[[Dict[str, Any]], Dict[str, tf.Tensor]]

  def num_records(self, input_context) -> None:
    """Returns None: tensorflow-datasets decides how a split is divided."""

  def read(self, input_context: Optional[tf.distribute.InputContext],
           seed: Optional[int]) -> tf.data.Dataset:
    """Returns the examples of this worker's share, images still encoded.

    Raises:
      errors.UserError: no such split, or the data was not prepared.
    """
    return self._read(input_context, shuffle_files=True, seed=seed)

  def read_in_order(
      self, input_context: Optional[tf.distribute.InputContext]
  ) -> tf.data.Dataset:
    """Returns the same examples, each with its place among all."""
    _, worker = reading.place_among_workers(input_context)
    return self._read(input_context, shuffle_files=False, seed=None).enumerate(
        worker * reading.PLACES_OF_A_FILE)

  def _read(self, input_context, shuffle_files: bool, seed: Optional[int]
            ) -> tf.data.Dataset:
    workers, worker = reading.place_among_workers(input_context)
    try:
      split = (self.split if workers == 1
               else tfds.even_splits(self.split, workers)[worker])
      return self.builder.as_dataset(
          split=split, shuffle_files=shuffle_files,
          decoders={name: tfds.decode.SkipDecoding() for name in self.encoded},
          read_config=tfds.ReadConfig(
              shuffle_seed=seed, try_autocache=False, skip_prefetch=True,
              # Shard by shard: interleaving would depend on the worker.
              **({} if shuffle_files else {'interleave_cycle_length': 1})))
    except AssertionError as error:
      name = self.builder.info.full_name
      raise errors.UserError(
          f'{record_files.TFDS}{name}: not found in {self.builder.data_dir}; '
          f'run "tfds build {name}", or set TFDS_DATA_DIR to where it '
          f'is') from error
    except (KeyError, ValueError) as error:
      raise errors.UserError(
          f'{record_files.TFDS}{self.builder.info.full_name}: no split '
          f'{self.split!r} (it has {", ".join(self.builder.info.splits)}); '
          f'correct the part after the last slash') from error


def builder_of(pattern: str) -> Tuple[tfds.core.DatasetBuilder, str]:
  name, slash, split = pattern[len(record_files.TFDS):].rpartition('/')
  if not (name and slash and split):
    raise errors.UserError(
        f'{pattern!r}: expected tfds:NAME/SPLIT, for example '
        f'tfds:imagenet2012/train')
  try:
    return tfds.builder(name), split
  except ImportError as error:
    raise errors.UserError(
        f'{pattern}: the code of this data set cannot be imported '
        f'({errors.first_line(error)}); install its packages') from error
  except (tfds.core.DatasetNotFoundError, ValueError) as error:
    reason = ' '.join(str(error).split())[:120]
    raise errors.UserError(
        f'{pattern}: tensorflow-datasets has no data set {name!r} ({reason}); '
        f'compare with "tfds list"') from error


def require_features(pattern: str, builder, names) -> None:
  missing = sorted(set(names) - set(builder.info.features))
  if missing:
    raise errors.UserError(
        f'{pattern}: expected the features {", ".join(names)}, got '
        f'{", ".join(sorted(builder.info.features))}; use a data set like '
        f'coco/2017_panoptic for panoptic segmentation, like imagenet2012 for '
        f'classification')
