"""Makes panoptic labels from the features of tensorflow-datasets' COCO.

`panoptic_image` holds segment ids, R + 256 G + 65536 B, and
`panoptic_objects` says what each segment is.
"""

from typing import Any, Dict, Optional, Sequence

import tensorflow as tf

from axial_tf import errors
from axial_tf.data.common import record_checks, tfds_source
from axial_tf.files import image_decoding
from axial_tf.panoptic import label_png
from axial_tf.specs import dataset_spec

FEATURES = ('image', 'panoptic_image', 'panoptic_objects', 'image/filename')


def open_source(
    pattern: str, spec: dataset_spec.DatasetSpec) -> tfds_source.TfdsSource:
  """Opens panoptic data, as coco/2017_panoptic holds it.

  Elements decode to what `records.decode_panoptic_example` returns.

  Raises:
    errors.UserError: no such data set, other features, or categories that the
      spec does not have.
  """
  builder, split = tfds_source.builder_of(pattern)
  tfds_source.require_features(pattern, builder, FEATURES)
  names = builder.info.features['panoptic_objects']['label'].names
  labels = train_ids(names, spec, pattern)

  def decode(element):
    return decode_example(element, labels, spec)

  return tfds_source.TfdsSource(
      builder, split, ('image', 'panoptic_image'), decode)


def train_ids(names: Optional[Sequence[str]], spec: dataset_spec.DatasetSpec,
              source: str) -> Sequence[int]:
  """Returns the train id of each label of `panoptic_objects`.

  Categories are found by name. Where the data carries numbers only (names are
  written when it is prepared), labels follow the order of the spec's source
  ids, as the categories in COCO's files do.

  Raises:
    errors.UserError: the spec has no category of some name.
  """
  if not names or list(names) == [str(i) for i in range(len(names))]:
    return [spec.by_source_id[i].train_id for i in sorted(spec.by_source_id)]
  by_name = {category.name: category.train_id for category in spec.categories}
  unknown = [name for name in names if name not in by_name]
  if unknown:
    raise errors.UserError(
        f'{source}: its category {unknown[0]!r} is not in the spec '
        f'{spec.name!r}; add it there or use the spec of the data')
  return [by_name[name] for name in names]


def decode_example(
    features: Dict[str, Any], train_id_of_label: Sequence[int],
    spec: dataset_spec.DatasetSpec) -> Dict[str, tf.Tensor]:
  """Decodes an example with TensorFlow ops.

  Args:
    features: features of one example, images still encoded.
    train_id_of_label: see `train_ids`.
    spec: spec of the data set.

  Returns:
    What `records.decode_panoptic_example` returns.

  Raises:
    tf.errors.InvalidArgumentError: when the ops run: an image that cannot be
      decoded, or images and objects that do not belong together.
  """
  # As stored, to match its label.
  image = image_decoding.decode(features['image'], upright=False)
  height, width = tf.shape(image)[0], tf.shape(image)[1]
  objects = features['panoptic_objects']
  panoptic = panoptic_label(
      label_png.decode_in_graph(features['panoptic_image']),
      tf.cast(objects['id'], tf.int32),
      tf.gather(tf.constant(train_id_of_label), objects['label']),
      objects['is_crowd'], spec, features['image/filename'])
  with tf.control_dependencies([tf.debugging.assert_equal(
      tf.shape(panoptic), [height, width],
      'the label has another size than its image')]):
    panoptic = tf.identity(panoptic)
  return {
      'image': image,
      'panoptic': panoptic,
      'filename': features['image/filename'],
      'height': height,
      'width': width,
  }


def panoptic_label(
    segment_ids: tf.Tensor, ids: tf.Tensor, train_id: tf.Tensor,
    is_crowd: tf.Tensor, spec: dataset_spec.DatasetSpec,
    filename: tf.Tensor) -> tf.Tensor:
  """Turns a map of segment ids into a panoptic label.

  As in data_prep: things are numbered from 1 per class in the order of the
  segments, all crowds of a class become its instance 0, id 0 becomes void.

  Args:
    segment_ids: int32 [height, width].
    ids: int32 [segments], their ids in the map.
    train_id: int32 [segments].
    is_crowd: bool [segments].
    spec: spec that defines things, divisor and void.
    filename: string [] for errors.

  Returns:
    int32 [height, width].

  Raises:
    tf.errors.InvalidArgumentError: when the ops run: a pixel whose id is not
      among `ids`, or more instances of a class than the divisor allows.
  """
  is_thing = tf.reduce_any(
      train_id[:, tf.newaxis] == tf.constant(spec.thing_ids, tf.int32), -1)
  is_counted = is_thing & ~is_crowd
  same = is_counted & is_counted[:, tf.newaxis] & (
      train_id == train_id[:, tf.newaxis])  # [segments, segments]
  up_to_itself = tf.linalg.band_part(tf.cast(same, tf.int32), -1, 0)
  instance = tf.reduce_sum(up_to_itself, axis=1)

  ids = tf.concat([[0], ids], 0)
  labels = tf.concat(
      [[spec.void_label], train_id * spec.label_divisor + instance], 0)
  order = tf.argsort(ids)
  ids, labels = tf.gather(ids, order), tf.gather(labels, order)
  place = tf.searchsorted(ids, tf.reshape(segment_ids, [-1]))
  place = tf.minimum(place, tf.size(ids) - 1)
  known = tf.gather(ids, place) == tf.reshape(segment_ids, [-1])
  with tf.control_dependencies([
      tf.debugging.Assert(tf.reduce_all(known), [record_checks.user_message(
          'an image of tensorflow-datasets has pixels of a segment that its '
          'objects lack; prepare the data again'), filename]),
      tf.debugging.Assert(
          tf.reduce_max(tf.pad(instance, [[0, 1]])) < spec.label_divisor,
          [record_checks.user_message(
              'an image of tensorflow-datasets has more instances of a class '
              'than the label_divisor of the spec allows; raise it'),
           filename])]):
    return tf.reshape(tf.gather(labels, place), tf.shape(segment_ids))
