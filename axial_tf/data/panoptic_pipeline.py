"""tf.data pipelines from panoptic TFRecords to batches."""

import dataclasses
import os
from typing import Dict, Optional, Tuple

import tensorflow as tf

from axial_tf import errors
from axial_tf import settings as settings_lib
from axial_tf.data import augmentation as augmentation_lib
from axial_tf.data import (
    dataset_spec,
    record_checks,
    record_files,
    records,
)
from axial_tf.panoptic import targets as targets_lib

_AUTOTUNE = tf.data.AUTOTUNE
_OPEN_SHARDS = 16


@dataclasses.dataclass(frozen=True)
class PanopticDataSettings:
  """Where the records are and how they become batches.

  Attributes:
    train_pattern: glob pattern of the training shards; gs:// works.
    validation_pattern: glob pattern of the validation shards.
    augmentation: of training images.
    targets: what the heads learn.
    max_long_side: images with a longer side are shrunk to it, in training
      before the augmentation; None keeps every size. The paper uses 1025 on
      COCO and 2177 on Vistas.
    enlarge: also enlarge smaller images to `max_long_side`, as the paper does
      on COCO.
    validation_size: height and width to which validation images are padded;
      None pads to the largest image of each batch.
    shuffle_buffer: training examples among which the next one is drawn; their
      encoded bytes (decoded ones with `cache`) stay in memory.
    cache: keep decoded images in memory; for small data sets.
  """

  train_pattern: str = ''
  validation_pattern: str = ''
  augmentation: augmentation_lib.AugmentationSettings = (
      augmentation_lib.AugmentationSettings())
  targets: targets_lib.TargetSettings = targets_lib.TargetSettings()
  max_long_side: Optional[int] = None
  enlarge: bool = False
  validation_size: Optional[Tuple[int, int]] = None
  shuffle_buffer: int = 1024
  cache: bool = False

  def __post_init__(self):
    settings_lib.check_types(self)
    settings_lib.require(
        self.max_long_side is None or self.max_long_side >= 1, self,
        'max_long_side', 'None or at least 1 pixel')
    settings_lib.require(
        not self.enlarge or self.max_long_side is not None, self, 'enlarge',
        'False unless max_long_side is given')
    settings_lib.require(
        self.validation_size is None or min(self.validation_size) >= 1, self,
        'validation_size', 'None or height and width of at least 1 pixel')
    settings_lib.require(
        self.shuffle_buffer >= 1, self, 'shuffle_buffer', 'at least 1')


def train_dataset(
    settings: PanopticDataSettings, spec: dataset_spec.DatasetSpec,
    global_batch_size: int,
    input_context: Optional[tf.distribute.InputContext] = None,
    seed: Optional[int] = None) -> tf.data.Dataset:
  """Endless, shuffled, augmented batches.

  Args:
    settings: where the data is and how to augment it.
    spec: of the data set.
    global_batch_size: images of one step on all replicas together.
    input_context: tells workers apart: each reads its own shards (its own
      records if there are fewer shards than workers).
    seed: makes the whole sequence reproducible; None draws a new one.

  Returns:
    Dicts with the static shapes [batch, height, width, ...] of the crop:
      image: float32 [..., 3] in [-1, 1]
      semantic: int32; semantic_weight, center_heatmap, center_weight,
      offset_weight: float32; offset: float32 [..., 2], (y, x) in pixels.
      See `axial_tf.panoptic.targets`.

  Raises:
    errors.UserError: the records are missing, damaged or of another spec, or
      the batch cannot be divided among the replicas.
  """
  paths = _open_records('train_pattern', settings.train_pattern, spec)
  batch_size = _replica_batch_size(global_batch_size, input_context)
  worker = input_context.input_pipeline_id if input_context else 0

  dataset = _read(paths, input_context, shuffle_files=True, seed=seed)
  if settings.cache:
    dataset = _decode(dataset, settings, spec).cache()
  dataset = dataset.shuffle(settings.shuffle_buffer, seed=seed).repeat()
  if not settings.cache:
    dataset = _decode(dataset, settings, spec)

  # Stateless draws from (seed, position) do not depend on which thread runs.
  draw_seed = (int.from_bytes(os.urandom(4), 'little') if seed is None
               else seed * 1009 + worker)

  def prepare(position, example):
    image, panoptic = augmentation_lib.augment(
        example['image'], example['panoptic'],
        tf.stack([tf.constant(draw_seed, tf.int64), position]),
        settings.augmentation, spec.void_label)
    return {
        'image': image,
        **targets_lib.panoptic_targets(
            panoptic, thing_ids=spec.thing_ids,
            label_divisor=spec.label_divisor, ignore_label=spec.ignore_label,
            settings=settings.targets),
    }

  dataset = dataset.enumerate().map(prepare, num_parallel_calls=_AUTOTUNE)
  dataset = dataset.batch(batch_size, drop_remainder=True)
  return _with_options(dataset, deterministic=seed is not None)


def validation_dataset(
    settings: PanopticDataSettings, spec: dataset_spec.DatasetSpec,
    global_batch_size: int,
    input_context: Optional[tf.distribute.InputContext] = None
) -> tf.data.Dataset:
  """Every validation image once, in the order of the shards.

  Images are not augmented, only shrunk to `max_long_side`; the ground truth
  keeps its raw size. The last batch may be smaller.

  Returns:
    Dicts with:
      image: uint8 [batch, H, W, 3] RGB, padded with 0 at the right and bottom
      height, width: int32 [batch], the valid part of `image`
      panoptic: int32 [batch, Hr, Wr] ground truth, padded with void; all void
        for images without label
      raw_height, raw_width: int32 [batch], the valid part of `panoptic`
      filename: string [batch]

  Raises:
    errors.UserError: as `train_dataset`.
  """
  paths = _open_records('validation_pattern', settings.validation_pattern, spec)
  batch_size = _replica_batch_size(global_batch_size, input_context)
  dataset = _read(paths, input_context, shuffle_files=False, seed=None)
  dataset = dataset.map(
      lambda serialized: _validation_example(serialized, settings, spec),
      num_parallel_calls=_AUTOTUNE)
  if settings.cache:
    dataset = dataset.cache()
  dataset = dataset.padded_batch(
      batch_size,
      padded_shapes={
          **{key: [] for key in (
              'height', 'width', 'raw_height', 'raw_width', 'filename')},
          'image': [*(settings.validation_size or (None, None)), 3],
          'panoptic': [None, None],
      },
      padding_values={
          **{key: 0 for key in ('height', 'width', 'raw_height', 'raw_width')},
          'filename': '',
          'image': tf.constant(0, tf.uint8),
          'panoptic': spec.void_label,
      })
  return _with_options(dataset, deterministic=True)


def _open_records(field: str, pattern: str, spec) -> Tuple[str, ...]:
  """Returns the paths of the shards after checking them against the spec."""
  if not pattern:
    raise errors.UserError(
        f'PanopticDataSettings.{field}: expected the pattern of TFRecord '
        f'shards, got none; set it to /data/my_records/train-*.tfrecord, for '
        f'example')
  files = record_files.verify_shards(pattern)
  record_checks.check_spec(files, spec)
  return files.paths


def _replica_batch_size(global_batch_size, input_context) -> int:
  replicas = input_context.num_replicas_in_sync if input_context else 1
  if global_batch_size < 1 or global_batch_size % replicas:
    raise errors.UserError(
        f'batch size: expected a positive multiple of the {replicas} replicas, '
        f'got {global_batch_size}')
  return global_batch_size // replicas


def _read(paths, input_context, shuffle_files: bool, seed) -> tf.data.Dataset:
  """Serialized records of this worker's shards."""
  dataset = tf.data.Dataset.from_tensor_slices(list(paths))
  workers = input_context.num_input_pipelines if input_context else 1
  worker = input_context.input_pipeline_id if input_context else 0
  by_file = len(paths) >= workers
  if by_file:
    dataset = dataset.shard(workers, worker)
  if shuffle_files:
    # Workers that share files must see them in one order to share the records.
    dataset = dataset.shuffle(
        len(paths), seed=0 if seed is None and not by_file else seed)
    dataset = dataset.interleave(
        tf.data.TFRecordDataset, cycle_length=min(_OPEN_SHARDS, len(paths)),
        num_parallel_calls=_AUTOTUNE,
        deterministic=seed is not None or not by_file)
  else:
    dataset = tf.data.TFRecordDataset(dataset)
  return dataset if by_file else dataset.shard(workers, worker)


def _decode(dataset, settings, spec) -> tf.data.Dataset:
  """Serialized records to image and label, of at most `max_long_side`."""

  def decode(serialized):
    example = records.decode_panoptic_example(serialized)
    image, panoptic = example['image'], example['panoptic']
    panoptic = _unlabeled_to_void(panoptic, spec)
    if settings.max_long_side is not None:
      image, panoptic = augmentation_lib.resize(
          image, panoptic, _limited_size(example, settings))
      image = _to_uint8(image)
    return {'image': image, 'panoptic': panoptic}

  return dataset.map(decode, num_parallel_calls=_AUTOTUNE)


def _validation_example(serialized, settings, spec) -> Dict[str, tf.Tensor]:
  example = records.decode_panoptic_example(serialized)
  image, height, width = (
      example['image'], example['height'], example['width'])
  if settings.max_long_side is not None:
    size = _limited_size(example, settings)
    image = _to_uint8(tf.image.resize(image, size, 'bilinear'))
    height, width = size[0], size[1]
  if settings.validation_size is not None:
    tf.debugging.assert_less_equal(
        tf.stack([height, width]), tf.constant(settings.validation_size),
        f'{record_checks.USER_MESSAGE}PanopticDataSettings.validation_size: an '
        f'image is larger than {settings.validation_size} (height, width); '
        f'raise it or set max_long_side;')
  return {
      'image': image,
      'height': height,
      'width': width,
      'panoptic': _unlabeled_to_void(example['panoptic'], spec),
      'raw_height': example['height'],
      'raw_width': example['width'],
      'filename': example['filename'],
  }


def _limited_size(example, settings) -> tf.Tensor:
  return augmentation_lib.long_side_size(
      example['height'], example['width'], settings.max_long_side,
      settings.enlarge)


def _to_uint8(image: tf.Tensor) -> tf.Tensor:
  return tf.cast(tf.round(tf.clip_by_value(image, 0.0, 255.0)), tf.uint8)


def _unlabeled_to_void(panoptic, spec) -> tf.Tensor:
  return tf.where(panoptic == records.UNLABELED, spec.void_label, panoptic)


def _with_options(dataset, deterministic: bool) -> tf.data.Dataset:
  options = tf.data.Options()
  options.deterministic = deterministic
  # `_read` has divided the records among the workers already.
  options.experimental_distribute.auto_shard_policy = (
      tf.data.experimental.AutoShardPolicy.OFF)
  return dataset.with_options(options).prefetch(_AUTOTUNE)
