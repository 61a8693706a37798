"""tf.data pipelines from classification TFRecords to batches."""

import dataclasses
import functools
import os
from typing import Dict, Optional, Tuple

import tensorflow as tf

from axial_tf import settings as settings_lib
from axial_tf.data.classification import augmentation as augmentation_lib
from axial_tf.data.classification import class_counts, tfds_classification
from axial_tf.data.classification import records as classification_records
from axial_tf.data.common import (
  data_service,
  reading,
  record_checks,
  record_files,
  resizing,
)
from axial_tf.files import image_decoding
from axial_tf.specs import class_spec


@dataclasses.dataclass(frozen=True)
class ClassificationDataSettings:
  """Location of the records, and settings of their batches.

  Attributes:
    train_pattern: glob pattern of the training shards (gs:// works), or
      'tfds:NAME/SPLIT', see `tfds_source`.
    validation_pattern: the same for validation.
    augmentation: augmentation of training images.
    image_size: height and width of all images.
    validation_resize: pixels of the short side to which validation images are
      resized before a center crop; None resizes them to `image_size` directly.
      The paper's 224 come from 256.
    first_label: the label of the first class in the records: 0, or 1 in those
      of the Cloud TPU scripts.
    shuffle_buffer: training examples among which the next one is drawn; their
      encoded bytes stay in memory.
    cache: keep the encoded records in memory; for small data sets.
    data_service: address of a tf.data service (grpc://host:port) whose workers
      make the training batches; their order is then not reproducible.
  """

  train_pattern: settings_lib.Path = ''
  validation_pattern: settings_lib.Path = ''
  augmentation: augmentation_lib.ClassificationAugmentationSettings = (
      augmentation_lib.ClassificationAugmentationSettings())
  image_size: Tuple[int, int] = (224, 224)
  validation_resize: Optional[int] = 256
  first_label: int = 0
  shuffle_buffer: int = 10000
  cache: bool = False
  data_service: Optional[str] = None

  def __post_init__(self):
    settings_lib.check_types(self)
    settings_lib.require(
        min(self.image_size) >= 1, self, 'image_size',
        'height and width of at least 1 pixel')
    settings_lib.require(
        self.validation_resize is None
        or self.validation_resize >= max(self.image_size), self,
        'validation_resize', f'None or at least {max(self.image_size)}, the '
        f'longer side of image_size')
    settings_lib.require(
        self.first_label >= 0, self, 'first_label', '0, or 1 for records that '
        'count from 1')
    settings_lib.require(
        self.shuffle_buffer >= 1, self, 'shuffle_buffer', 'at least 1')
    data_service.check(self)


def load_spec(settings: ClassificationDataSettings) -> class_spec.ClassSpec:
  """Returns the classes of the training data (of the validation data, if none).

  They are in the dataset_info.json next to the shards, or in the features of a
  data set of tensorflow-datasets.

  Raises:
    errors.UserError: there is no data or no such file.
  """
  field = 'train_pattern' if settings.train_pattern else 'validation_pattern'
  pattern = reading.require_pattern(settings, field)
  if pattern.startswith(record_files.TFDS):
    return tfds_classification.load_class_spec(pattern)
  return class_spec.ClassSpec.load(
      os.path.join(os.path.dirname(pattern), record_files.DATASET_INFO))


@tf.autograph.experimental.do_not_convert
def train_dataset(
    settings: ClassificationDataSettings, spec: class_spec.ClassSpec,
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
    Dicts with:
      image: float32 [batch, height, width, 3] in [-1, 1]
      label: int32 [batch], 0..classes - 1 (of the stronger part, if mixed)
      target: float32 [batch, classes], smoothed and mixed; sums to 1

  Raises:
    errors.UserError: the records are missing, damaged or of another spec, a
      class has no images, or the batch cannot be divided among the replicas.
  """
  source = _open(settings, 'train_pattern', spec)
  if isinstance(source, reading.RecordSource):
    class_counts.check_classes(source.paths, spec, settings.first_label)
  batch_size = reading.replica_batch_size(global_batch_size, input_context)
  augmentation = settings.augmentation
  first = reading.first_batch(first_step, input_context)
  dataset = reading.endless(
      source, settings, seed, input_context, first * batch_size)

  def prepare(draw_seed, element):
    example = source.decode(element)
    return {
        'image': augmentation_lib.augment(
            example['encoded'], draw_seed, settings.image_size, augmentation),
        'label': _label(example, settings, spec),
    }

  def finish_batch(draw_seed, batch):
    image, target = batch['image'], augmentation_lib.targets(
        batch['label'], spec.num_classes, augmentation.label_smoothing)
    if augmentation.mixup_alpha > 0:
      image, target = augmentation_lib.mix(
          image, target, draw_seed, augmentation.mixup_alpha)
    return {
        'image': image,
        'label': tf.argmax(target, -1, output_type=tf.int32),
        'target': target,
    }

  dataset = reading.map_with_seeds(
      dataset, prepare, seed, input_context, first * batch_size)
  dataset = dataset.batch(batch_size, drop_remainder=True)
  dataset = reading.map_with_seeds(
      dataset, finish_batch, seed, input_context, first)
  return reading.finish(
      dataset, deterministic=seed is not None,
      data_service=settings.data_service)


@tf.autograph.experimental.do_not_convert
def validation_dataset(
    settings: ClassificationDataSettings, spec: class_spec.ClassSpec,
    global_batch_size: int,
    input_context: Optional[tf.distribute.InputContext] = None
) -> tf.data.Dataset:
  """Returns every validation image once, in the order of the shards.

  The last batch may be smaller.

  Returns:
    Dicts with:
      image: float32 [batch, height, width, 3] in [-1, 1]
      label: int32 [batch]
      filename: string [batch]

  Raises:
    errors.UserError: see `train_dataset`.
  """
  source = _open(settings, 'validation_pattern', spec)
  batch_size = reading.replica_batch_size(global_batch_size, input_context)

  def prepare(element):
    example = source.decode(element)
    image = image_decoding.decode(example['encoded'])
    return {
        'image': resizing.center_crop(
            image, settings.image_size, settings.validation_resize),
        'label': _label(example, settings, spec),
        'filename': example['filename'],
    }

  dataset = source.read_in_order(input_context).map(
      lambda place, element: element)
  if settings.cache:
    dataset = dataset.cache()
  dataset = dataset.map(prepare, num_parallel_calls=reading.AUTOTUNE)
  return reading.untuned(
      reading.finish(dataset.batch(batch_size), deterministic=True))


def _open(settings, field: str, spec: class_spec.ClassSpec):
  """Opens the data that a field names, after checking it against the spec."""
  pattern = reading.require_pattern(settings, field)
  if pattern.startswith(record_files.TFDS):
    return tfds_classification.open_source(pattern, spec)
  return reading.open_records(pattern, spec, schema(settings.first_label))


def schema(first_label: int = 0) -> record_checks.Schema:
  """Returns the schema of records whose first class has this label."""
  return record_checks.Schema(
      classification_records.parse_classification_example,
      functools.partial(_problem, first_label=first_label))


def _problem(example, spec: class_spec.ClassSpec, first_label: int
             ) -> Optional[str]:
  """Returns what is wrong with a decoded record, None if nothing is."""
  label = int(example['label'])
  if label == classification_records.UNLABELED:
    return 'has no label; training and validation need labeled records'
  if not 0 <= label - first_label < spec.num_classes:
    return (f'has the label {label}, but the spec {spec.name!r} has '
            f'{spec.num_classes} classes from {first_label} on; use the spec '
            f'with which the records were made, and set '
            f'ClassificationDataSettings.first_label')
  try:
    image_decoding.decode(example['encoded'])
  except tf.errors.InvalidArgumentError as error:
    return f'holds no image ({error.message:.100}); convert the data again'
  return None


def _label(example: Dict[str, tf.Tensor], settings, spec) -> tf.Tensor:
  """Returns the label, counted from 0 and asserted to be in the spec."""
  label = example['label'] - settings.first_label
  with tf.control_dependencies([tf.debugging.Assert(
      (label >= 0) & (label < spec.num_classes), [
          record_checks.user_message(
              f'a record has a label that is none of the {spec.num_classes} '
              f'classes of the spec {spec.name!r}; convert the data again or '
              f'set ClassificationDataSettings.first_label'),
          example['filename'], example['label']])]):
    return tf.identity(label)
