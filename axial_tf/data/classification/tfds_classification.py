"""Reads labeled images of tensorflow-datasets, and their classes."""

import tensorflow as tf
import tensorflow_datasets as tfds

from axial_tf import errors
from axial_tf.data.common import tfds_source
from axial_tf.specs import class_spec


def open_source(
    pattern: str, spec: class_spec.ClassSpec) -> tfds_source.TfdsSource:
  """Opens labeled images, as imagenet2012 holds them.

  Elements decode to what `classification_records.parse_classification_example`
  returns.

  Raises:
    errors.UserError: no such data set, other features, or other classes than
      those of the spec.
  """
  builder, split = tfds_source.builder_of(pattern)
  tfds_source.require_features(pattern, builder, ('image', 'label'))
  found = _class_spec(builder)
  if not found.has_same_labels(spec):
    raise errors.UserError(
        f'{pattern}: has {found.summary()}, but the spec {spec.name!r} '
        f'({spec.summary()}) is configured; use the spec of the data')

  def decode(element):
    return {
        'encoded': element['image'],
        'label': tf.cast(element['label'], tf.int32),
        'filename': element.get('file_name', tf.constant('')),
    }

  return tfds_source.TfdsSource(builder, split, ('image',), decode)


def load_class_spec(pattern: str) -> class_spec.ClassSpec:
  """Returns the classes of 'tfds:NAME/SPLIT', in the order of its labels.

  Raises:
    errors.UserError: no such data set, or one without labels.
  """
  builder, _ = tfds_source.builder_of(pattern)
  tfds_source.require_features(pattern, builder, ('image', 'label'))
  return _class_spec(builder)


def _class_spec(builder: tfds.core.DatasetBuilder) -> class_spec.ClassSpec:
  label = builder.info.features['label']
  names = label.names or map(str, range(label.num_classes))
  return class_spec.ClassSpec(builder.name, tuple(
      class_spec.ImageClass(number, name, name)
      for number, name in enumerate(names)))
