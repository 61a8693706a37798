"""From uint8 images to panoptic maps: the one place that joins the steps.

Validation during training, the exported SavedModel and `Predictor` all run
this code, so that the scores of a validation are those of the deployed model.
"""

from typing import Callable, Dict, Optional

import numpy as np
import tensorflow as tf

from axial_tf.data.common import resizing
from axial_tf.inference import multi_scale as multi_scale_lib
from axial_tf.panoptic import histogram, merging, segments
from axial_tf.specs import dataset_spec


class PanopticInference(tf.Module):
  """Scales images, runs the model, and merges its heads.

  Attributes:
    model: the network, see `axial_tf.models.panoptic_deeplab`.
    spec: the data set whose categories the model knows.
    merging: how heads become a panoptic map.
    multi_scale: the views of an image over which the heads are averaged.
    max_long_side: `predict` shrinks images with a longer side to it and brings
      the map back to the image's size; None runs each image at its own size.
    enlarge: also enlarge smaller images to `max_long_side`.
    max_segments: rows of the segment table: as many segments as can be found.
  """

  def __init__(
      self, model: Callable[..., Dict[str, tf.Tensor]],
      spec: dataset_spec.DatasetSpec,
      merging_settings: merging.MergingSettings,
      max_long_side: Optional[int] = None, enlarge: bool = False,
      multi_scale: Optional[multi_scale_lib.MultiScaleSettings] = None):
    super().__init__(name='panoptic_inference')
    self.model = model
    self.spec = spec
    self.merging = merging_settings
    self.multi_scale = multi_scale or multi_scale_lib.MultiScaleSettings()
    self.max_long_side = max_long_side
    self.enlarge = enlarge
    self.max_segments = merging_settings.max_centers + len(spec.stuff_ids)

  def traced(self) -> 'PanopticInference':
    """Returns an inference whose network is one shared graph function.

    Several functions that use it then trace and store the network once.
    """
    model = self.model
    images = tf.TensorSpec([None, None, None, 3], tf.float32)
    size = tf.TensorSpec([], tf.int32)
    options = {'autograph': False}
    if self.multi_scale.count > 1:
      # Not copied to each place where a view calls it.
      options['experimental_attributes'] = {'_noinline': True}
    plain = tf.function(
        lambda images: model(images, training=False),
        input_signature=[images], **options)
    sized = tf.function(
        lambda images, height, width: model(
            images, training=False, output_size=(height, width)),
        input_signature=[images, size, size], **options)

    def call(images, training, output_size=None):
      del training
      return plain(images) if output_size is None else sized(
          images, *output_size)

    return PanopticInference(
        call, self.spec, self.merging, self.max_long_side, self.enlarge,
        self.multi_scale)

  def __call__(self, images: tf.Tensor) -> Dict[str, tf.Tensor]:
    """Segments images as they are, without resizing them.

    Args:
      images: RGB [batch, height, width, 3], uint8 or float32 in 0..255.

    Returns:
      At the size of the images: 'panoptic_map' int32 [batch, height, width];
      float32 'score_map' (see `merging.merge`), 'semantic_probabilities'
      [..., classes], 'center_heatmap' and 'offset' [..., 2], (y, x) in pixels.
    """
    heads = multi_scale_lib.heads(
        lambda images, size: self.model(
            images, training=False, output_size=size),
        resizing.to_model_range(images), self.multi_scale)
    merged = merging.merge(
        heads['semantic_probabilities'], heads['center_heatmap'],
        heads['offset'],
        thing_ids=self.spec.thing_ids, label_divisor=self.spec.label_divisor,
        void_label=self.spec.void_label, settings=self.merging)
    return {**merged, **heads}

  def predict(self, images: tf.Tensor) -> Dict[str, tf.Tensor]:
    """Segments images by the rule of `max_long_side`.

    Args:
      images: uint8 RGB [batch, height, width, 3].

    Returns:
      At the size of the images: 'panoptic_map' int32 and 'score_map' float32
      [batch, height, width]; with a batch axis, what
      `segments.segment_table` returns.
    """
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    outputs = self(resized(images, self.max_long_side, self.enlarge))
    tables = tf.map_fn(
        self._segment_table,
        (outputs['panoptic_map'], outputs['score_map'],
         outputs['semantic_probabilities']),
        fn_output_signature=self.table_signature())
    maps = {key: outputs[key] for key in ('panoptic_map', 'score_map')}
    if self.max_long_side is not None:
      maps = {key: _to_size(m, height, width) for key, m in maps.items()}
      tables = tf.map_fn(
          self._measure, (maps['panoptic_map'], tables),
          fn_output_signature=self.table_signature())
    return {**maps, **tables}

  def predict_image(self, image: tf.Tensor) -> Dict[str, tf.Tensor]:
    """As `predict`, for a single image uint8 [height, width, 3]."""
    outputs = self.predict(image[tf.newaxis])
    return {key: value[0] for key, value in outputs.items()}

  def table_signature(self) -> Dict[str, tf.TensorSpec]:
    """Shapes of one image's segment table, see `segments.segment_table`."""
    rows = self.max_segments
    return {
        'segment_ids': tf.TensorSpec([rows], tf.int32),
        'segment_classes': tf.TensorSpec([rows], tf.int32),
        'segment_scores': tf.TensorSpec([rows], tf.float32),
        'segment_areas': tf.TensorSpec([rows], tf.int32),
        'segment_boxes': tf.TensorSpec([rows, 4], tf.int32),
        'num_segments': tf.TensorSpec([], tf.int32),
    }

  def _segment_table(self, inputs) -> Dict[str, tf.Tensor]:
    panoptic_map, score_map, probabilities = inputs
    return segments.segment_table(
        panoptic_map, score_map, probabilities,
        label_divisor=self.spec.label_divisor,
        void_label=self.spec.void_label, max_segments=self.max_segments)

  def _measure(self, inputs) -> Dict[str, tf.Tensor]:
    """Measures areas and boxes of listed segments again on a resized map.

    The scores stay: they were measured where the network has seen the image.
    A segment so thin that shrinking the map has lost it leaves the table.
    """
    panoptic_map, table = inputs
    rows = self.max_segments
    listed = tf.range(rows) < table['num_segments']
    # Rows past the end get labels that sort last and match no pixel.
    ids = tf.where(listed, table['segment_ids'], np.iinfo(np.int32).max)
    labels = tf.reshape(panoptic_map, [-1])
    row = tf.minimum(tf.searchsorted(ids, labels), rows - 1)
    row = tf.where(tf.equal(tf.gather(ids, row), labels), row, -1)
    height, width = tf.shape(panoptic_map)[0], tf.shape(panoptic_map)[1]
    y, x = (tf.reshape(c, [-1]) for c in tf.meshgrid(
        tf.range(height), tf.range(width), indexing='ij'))
    table = {
        **table,
        'segment_areas': histogram.histogram(row, rows),
        'segment_boxes': tf.stack([
            tf.math.unsorted_segment_min(y, row, rows),
            tf.math.unsorted_segment_min(x, row, rows),
            tf.math.unsorted_segment_max(y, row, rows) + 1,
            tf.math.unsorted_segment_max(x, row, rows) + 1], -1),
    }
    remains = table['segment_areas'] > 0
    order = tf.argsort(tf.cast(~remains, tf.int32), stable=True)
    remaining = tf.math.count_nonzero(remains, dtype=tf.int32)
    is_used = tf.range(rows) < remaining

    def compact(values):
      used = is_used if values.shape.rank == 1 else is_used[:, tf.newaxis]
      return tf.where(used, tf.gather(values, order), 0)

    return {
        key: remaining if key == 'num_segments' else compact(values)
        for key, values in table.items()}


def resized(images: tf.Tensor, max_long_side: Optional[int], enlarge: bool
            ) -> tf.Tensor:
  """Shrinks uint8 images exactly as the validation pipeline does.

  Args:
    images: uint8 [batch, height, width, 3].
    max_long_side: see `PanopticInference`.
    enlarge: whether smaller images are enlarged to it.
  """
  if max_long_side is None:
    return images
  size = resizing.long_side_size(
      tf.shape(images)[1], tf.shape(images)[2], max_long_side, enlarge)
  return tf.cast(
      tf.round(tf.image.resize(images, size, 'bilinear')), tf.uint8)


def to_raw_size(panoptic_map: np.ndarray, height: int, width: int
                ) -> np.ndarray:
  """Resizes a map [h, w] to [height, width], each pixel from the nearest.

  Pixel centers map to pixel centers, as when the image was resized. The same
  on numpy arrays as `predict` does in the graph.
  """
  if panoptic_map.shape == (height, width):
    return panoptic_map
  rows = _nearest(np.arange(height), panoptic_map.shape[0], height)
  columns = _nearest(np.arange(width), panoptic_map.shape[1], width)
  return panoptic_map[rows[:, np.newaxis], columns]


def _to_size(maps: tf.Tensor, height: tf.Tensor, width: tf.Tensor
             ) -> tf.Tensor:
  """`to_raw_size` for tensors [batch, h, w]."""
  for axis, size in ((1, height), (2, width)):
    source = tf.shape(maps, tf.int64)[axis]
    size = tf.cast(size, tf.int64)
    maps = tf.gather(maps, _nearest(tf.range(size), source, size), axis=axis)
  return maps


def _nearest(index, source, target):
  """Returns for each of `target` pixels the one of `source` it lies in.

  Integers, so that numpy and TensorFlow agree on every pixel.
  """
  return (2 * index + 1) * source // (2 * target)
