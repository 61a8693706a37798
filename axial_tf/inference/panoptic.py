"""Segments uint8 images: the one place that joins the steps.

Validation during training, the exported SavedModel and `Predictor` all run
this code, so that the scores of a validation are those of the deployed model.
"""

import contextlib
import dataclasses
from typing import Callable, Dict, Optional, Tuple

import tensorflow as tf

from axial_tf import keras2
from axial_tf.data.common import resizing
from axial_tf.files import model_folders
from axial_tf.inference import compiled_network
from axial_tf.inference import multi_scale as multi_scale_lib
from axial_tf.inference.decoding import decoding as decoding_lib
from axial_tf.inference.decoding import kinds
from axial_tf.panoptic import segments
from axial_tf.specs import dataset_spec


class PanopticInference(tf.Module):
  """Scales images, runs the model, and merges its heads.

  Attributes:
    model: the network, see `axial_tf.models.panoptic_networks`.
    spec: the data set whose categories the model knows.
    merging: settings for merging the heads into a panoptic map; their type
      decides how, see `decoding.kinds`.
    multi_scale: the views of an image over which the heads are averaged.
    max_long_side: `predict` shrinks images with a longer side to it and brings
      the map back to the image's size; None runs each image at its own size.
    enlarge: whether to enlarge smaller images to `max_long_side`, too.
    size: height and width of all images that the network sees; None if they
      vary.
  """

  task = model_folders.PANOPTIC

  def __init__(
      self, model: Callable[..., Dict[str, tf.Tensor]],
      spec: dataset_spec.DatasetSpec,
      merging_settings: kinds.MergingSettings,
      max_long_side: Optional[int] = None, enlarge: bool = False,
      multi_scale: Optional[multi_scale_lib.MultiScaleSettings] = None,
      size: Optional[Tuple[int, int]] = None):
    keras2.require(model, type(self).__name__)
    super().__init__(name='panoptic_inference')
    self.model = model
    self.spec = spec
    self.merging = merging_settings
    self.multi_scale = multi_scale or multi_scale_lib.MultiScaleSettings()
    self.max_long_side = max_long_side
    self.enlarge = enlarge
    self.size = size

  @property
  def max_segments(self) -> int:
    """Rows of the segment table: the largest number of segments."""
    return self.decoding.max_instances + len(self.spec.stuff_ids)

  @property
  def decoding(self) -> decoding_lib.Decoding:
    """What turns the heads into a panoptic map."""
    return kinds.build(self.merging, self.spec)

  def traced(self) -> 'PanopticInference':
    """Returns an inference whose network is one shared graph function.

    Several functions that use it then trace and store the network once.
    """
    model = self.model
    images = tf.TensorSpec([None, None, None, 3], tf.float32)
    size = tf.TensorSpec([], tf.int32)
    options = {'autograph': False}
    if self.multi_scale.count > 1:
      # Avoids a copy at each call by a view.
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

  def compiled(self, size: Optional[Tuple[int, int]] = None
               ) -> 'PanopticInference':
    """Returns an inference whose network XLA compiles, for each shape.

    Merging, which takes ordinary operations, is not compiled.

    Args:
      size: height and width of all images that the network sees; None if their
        shapes are static.
    """
    return PanopticInference(
        compiled_network.compiled(self.model), self.spec, self.merging,
        self.max_long_side, self.enlarge, self.multi_scale, size)

  def served(self) -> 'PanopticInference':
    """Returns an inference of operations of TensorFlow only, for an export."""
    return PanopticInference(
        self.model, self.spec, self.decoding.served_settings,
        self.max_long_side, self.enlarge, self.multi_scale, self.size)

  def without_stuff_limit(self) -> 'PanopticInference':
    """Returns an inference that keeps stuff of any area."""
    return PanopticInference(
        self.model, self.spec,
        dataclasses.replace(self.merging, stuff_area_limit=0),
        self.max_long_side, self.enlarge, self.multi_scale, self.size)

  def averaging(self, views: multi_scale_lib.MultiScaleSettings
                ) -> 'PanopticInference':
    """Returns an inference that averages over other views of an image."""
    return PanopticInference(
        self.model, self.spec, self.merging, self.max_long_side, self.enlarge,
        views, self.size)

  def __call__(self, images: tf.Tensor) -> Dict[str, tf.Tensor]:
    """Segments images as they are, without resizing them.

    Args:
      images: RGB [batch, height, width, 3], uint8 or float32 in 0..255.

    Returns:
      At the size of the images: 'panoptic_map' int32 [batch, height, width];
      float32 'score_map' (see `merging.merge`), and 'semantic_probabilities'
      [..., classes]. The heads that `decoding` lists.
    """
    if self.size is not None:
      images = tf.ensure_shape(images, [None, *self.size, 3])
    heads = self.heads(images)
    return {**self.decoding.merge(heads), **heads}

  def heads(self, images: tf.Tensor) -> Dict[str, tf.Tensor]:
    """Returns the averaged heads of images as they are, see `decoding`.

    Args:
      images: RGB [batch, height, width, 3], uint8 or float32 in 0..255.
    """
    return self.decoding.heads(
        lambda images, size: self.model(
            images, training=False, output_size=size),
        resizing.to_model_range(images), self.multi_scale)

  def predict(self, images: tf.Tensor) -> Dict[str, tf.Tensor]:
    """Segments images, resized as `max_long_side` says.

    Args:
      images: uint8 RGB [batch, height, width, 3].

    Returns:
      At the size of the images: 'panoptic_map' int32 and 'score_map' float32
      [batch, height, width]; with a batch axis, what
      `segments.segment_table` returns.
    """
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    outputs = self(resized(images, self.max_long_side, self.enlarge))
    return self.at_original_size(outputs, height, width)

  def at_original_size(self, outputs: Dict[str, tf.Tensor], height: tf.Tensor,
                       width: tf.Tensor) -> Dict[str, tf.Tensor]:
    """Returns what `predict` does, without running the network.

    Args:
      outputs: results of `__call__` for images resized as `max_long_side` says.
      height: height of the original images.
      width: width of the original images.
    """
    maps = {key: outputs[key] for key in ('panoptic_map', 'score_map')}
    seen = (*maps.values(), outputs['semantic_probabilities'])
    if self.max_long_side is not None:
      maps = {key: resizing.nearest_maps(m, height, width)
              for key, m in maps.items()}
      seen += (maps['panoptic_map'],)
    tables = tf.map_fn(
        self._segment_table, seen, fn_output_signature=self.table_signature())
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

  def _segment_table(self, maps) -> Dict[str, tf.Tensor]:
    return segments.segment_table(
        *maps, label_divisor=self.spec.label_divisor,
        void_label=self.spec.void_label, max_segments=self.max_segments)


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
  height, width = images.shape[1:3]
  is_static = None not in (height, width)
  # Outside the graph, a static size becomes that of static shapes.
  with tf.init_scope() if is_static else contextlib.nullcontext():
    size = resizing.long_side_size(
        *((height, width) if is_static else tf.unstack(tf.shape(images)[1:3])),
        max_long_side, enlarge)
  if is_static:
    size = size.numpy()
  return tf.cast(
      tf.round(tf.image.resize(images, size, 'bilinear')), tf.uint8)
