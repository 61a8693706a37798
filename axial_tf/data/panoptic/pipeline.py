"""tf.data pipelines from panoptic TFRecords to batches."""

import dataclasses
from typing import Dict, Optional, Tuple

import tensorflow as tf

from axial_tf import settings as settings_lib
from axial_tf.data.common import (
  data_service,
  reading,
  record_checks,
  record_files,
  resizing,
)
from axial_tf.data.panoptic import augmentation as augmentation_lib
from axial_tf.data.panoptic import (
  records,
  target_kinds,
  tfds_panoptic,
  training_batch,
)
from axial_tf.panoptic import targets as targets_lib
from axial_tf.specs import dataset_spec


@dataclasses.dataclass(frozen=True)
class PanopticDataSettings:
  """Location of the records, and settings of their batches.

  Attributes:
    train_pattern: glob pattern of the training shards (gs:// works), or
      'tfds:NAME/SPLIT', see `tfds_source`.
    validation_pattern: the same for validation.
    augmentation: augmentation of training images.
    targets: settings of the training targets, of the network's kind.
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
    data_service: address of a tf.data service (grpc://host:port) whose workers
      make the training batches; their order is then not reproducible.
  """

  train_pattern: settings_lib.Path = ''
  validation_pattern: settings_lib.Path = ''
  augmentation: augmentation_lib.AugmentationSettings = (
      augmentation_lib.AugmentationSettings())
  targets: target_kinds.TargetSettings = targets_lib.TargetSettings()
  max_long_side: Optional[int] = None
  enlarge: bool = False
  validation_size: Optional[Tuple[int, int]] = None
  shuffle_buffer: int = 1024
  cache: bool = False
  data_service: Optional[str] = None

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
    data_service.check(self)


@tf.autograph.experimental.do_not_convert
def train_dataset(
    settings: PanopticDataSettings, spec: dataset_spec.DatasetSpec,
    global_batch_size: int,
    input_context: Optional[tf.distribute.InputContext] = None,
    seed: Optional[int] = None, first_step: int = 0) -> tf.data.Dataset:
  """Returns endless, shuffled, augmented batches.

  Args:
    settings: where the data is and how to augment it.
    spec: spec of the data set.
    global_batch_size: images of one step on all replicas together.
    input_context: identifies the worker: each reads its own shards (its own
      records if there are fewer shards than workers).
    seed: makes the whole sequence reproducible; None draws a new one.
    first_step: where in the sequence of a seed to begin.

  Returns:
    Dicts of static shapes, which `training_batch.unpack` completes:
      image: uint8 [batch, crop height, crop width, 3] RGB
      panoptic: int32 [batch, crop height, crop width]
    and the other results of `training_batch.pack`.

  Raises:
    errors.UserError: the records are missing, damaged or of another spec, or
      the batch cannot be divided among the replicas.
  """
  source = _open(settings, 'train_pattern', spec)
  batch_size = reading.replica_batch_size(global_batch_size, input_context)

  def decode(dataset):
    return _decode(dataset, source, settings, spec)

  first = reading.first_batch(first_step, input_context) * batch_size
  dataset = reading.endless(
      source, settings, seed, input_context, first, ahead_of_cache=decode)
  if not settings.cache:
    dataset = decode(dataset)

  def prepare(draw_seed, example):
    image, panoptic, inside = augmentation_lib.augment(
        example['image'], example['panoptic'], draw_seed,
        settings.augmentation, spec.void_label)
    return training_batch.pack(
        image, panoptic, inside, spec, settings.targets)

  dataset = reading.map_with_seeds(
      dataset, prepare, seed, input_context, first)
  dataset = dataset.batch(batch_size, drop_remainder=True)
  return reading.finish(
      dataset, deterministic=seed is not None,
      data_service=settings.data_service)


@tf.autograph.experimental.do_not_convert
def validation_dataset(
    settings: PanopticDataSettings, spec: dataset_spec.DatasetSpec,
    global_batch_size: int,
    input_context: Optional[tf.distribute.InputContext] = None
) -> tf.data.Dataset:
  """Returns every validation image once, in the order of the shards.

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
      place: int64 [batch], increases from image to image; across workers, it
        gives the order in which a single one would read

  Raises:
    errors.UserError: see `train_dataset`.
  """
  source = _open(settings, 'validation_pattern', spec)
  batch_size = reading.replica_batch_size(global_batch_size, input_context)
  dataset = source.read_in_order(input_context)
  dataset = dataset.map(
      lambda place, element: {'place': place, **_validation_example(
          source.decode(element), settings, spec)},
      num_parallel_calls=reading.AUTOTUNE)
  if settings.cache:
    dataset = dataset.cache()
  dataset = dataset.padded_batch(
      batch_size,
      padded_shapes={
          **{key: [] for key in (
              'height', 'width', 'raw_height', 'raw_width', 'filename',
              'place')},
          'image': [*(settings.validation_size or (None, None)), 3],
          'panoptic': [None, None],
      },
      padding_values={
          **{key: 0 for key in ('height', 'width', 'raw_height', 'raw_width')},
          'filename': '',
          'place': tf.constant(0, tf.int64),
          'image': tf.constant(0, tf.uint8),
          'panoptic': spec.void_label,
      })
  return reading.untuned(reading.finish(dataset, deterministic=True))


def _open(settings, field: str, spec):
  """Opens the data that a field names, after checking it against the spec."""
  pattern = reading.require_pattern(settings, field)
  if pattern.startswith(record_files.TFDS):
    return tfds_panoptic.open_source(pattern, spec)
  return reading.open_records(pattern, spec, records.SCHEMA)


def _decode(dataset, source, settings, spec) -> tf.data.Dataset:
  """Decodes elements to image and label, of at most `max_long_side`."""

  def decode(element):
    example = source.decode(element)
    image, panoptic = example['image'], example['panoptic']
    panoptic = _unlabeled_to_void(panoptic, spec)
    if settings.max_long_side is not None:
      image, panoptic = resizing.resize(
          image, panoptic, _limited_size(example, settings))
      image = resizing.to_uint8(image)
    return {'image': image, 'panoptic': panoptic}

  return dataset.map(decode, num_parallel_calls=reading.AUTOTUNE)


def _validation_example(example, settings, spec) -> Dict[str, tf.Tensor]:
  image, height, width = (
      example['image'], example['height'], example['width'])
  if settings.max_long_side is not None:
    size = _limited_size(example, settings)
    image = resizing.to_uint8(tf.image.resize(image, size, 'bilinear'))
    height, width = size[0], size[1]
  if settings.validation_size is not None:
    tf.debugging.assert_less_equal(
        tf.stack([height, width]), tf.constant(settings.validation_size),
        record_checks.user_message(
            f'PanopticDataSettings.validation_size: an image is larger than '
            f'{settings.validation_size} (height, width); raise it or set '
            f'max_long_side'))
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
  return resizing.long_side_size(
      example['height'], example['width'], settings.max_long_side,
      settings.enlarge)


def _unlabeled_to_void(panoptic, spec) -> tf.Tensor:
  return tf.where(panoptic == records.UNLABELED, spec.void_label, panoptic)
