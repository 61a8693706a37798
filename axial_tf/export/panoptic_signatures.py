"""Builds the signatures of a served panoptic model, as TensorFlow functions.

Plain TensorFlow ops only, so that the stock TensorFlow Serving can run them,
except in `compiled`.
REST sends outputs whose names end in `_bytes` as base64, hence
`panoptic_png_bytes`.
"""

from typing import Any, Dict

import tensorflow as tf

from axial_tf.export import (
  compiled_signature,
  request_decoding,
  serving_settings,
)
from axial_tf.inference import panoptic as panoptic_inference
from axial_tf.panoptic import label_png


def build(inference: panoptic_inference.PanopticInference,
          settings: serving_settings.ServingSettings) -> Dict[str, Any]:
  """Returns the signatures by name, as tf.functions.

  `serving_default`: image_bytes, string [batch]: JPEG or PNG files, which may
    differ in size, are rotated by EXIF data and run at their original size.
  `image_tensor`: image_tensor, uint8 [batch, height, width, 3] RGB.

  Both return, with n rows per image of which `num_segments` are in use:
    panoptic_map: int32 [batch, H, W], padded with void to the largest image
    height, width: int32 [batch], of each image
    segment_ids, segment_classes, segment_areas: int32 [batch, n]
    segment_scores: float32 [batch, n]
    segment_boxes: int32 [batch, n, 4], (ymin, xmin, ymax, xmax), maxima
      exclusive
    num_segments: int32 [batch]; -1 for a file that is not an image, if
      `settings` marks those
    panoptic_png_bytes: string [batch], the map at the image's original size as
      a PNG whose pixels are R + 256 G + 65536 B

  `heads`: image_tensor as above; float32 semantic_probabilities [batch,
    height, width, classes], center_heatmap [batch, height, width] and offset
    [batch, height, width, 2], without the resizing of `max_long_side`.

  `compiled`, with `settings.compiled_size` only: as `serving_default`, but XLA
    compiles the network, for images that it sees at this size; others are bad
    files.
  """
  original = inference.served()
  inference = original.traced()
  segment = _segmenting(inference)

  @tf.function(autograph=False, input_signature=[request_decoding.FILES])
  def serving_default(image_bytes):
    return _segment_files(inference, segment, image_bytes, settings)

  @tf.function(autograph=False, input_signature=[request_decoding.IMAGES])
  def image_tensor(image_tensor):
    return request_decoding.for_all_images(
        image_tensor, lambda images: _segment_all(segment, images))

  @tf.function(autograph=False, input_signature=[request_decoding.IMAGES])
  def heads(image_tensor):
    return request_decoding.for_all_images(
        image_tensor, lambda images: _all_heads(inference, images))

  signatures = {
      'serving_default': serving_default,
      'image_tensor': image_tensor,
      'heads': heads,
  }
  size = settings.compiled_size
  if size is not None:
    compiled = original.compiled(size)
    signatures[compiled_signature.NAME] = compiled_signature.build(
        original.model, lambda files: _segment_files(
            compiled, _segmenting(compiled, 1), files, settings,
            compiled_signature.refusal(original, size)))
  return signatures


def _segmenting(inference, batch=None):
  """Returns a function that segments images of one size.

  As a function of the graph, it is there once for all signatures.
  """

  @tf.function(autograph=False, input_signature=[
      tf.TensorSpec([batch, None, None, 3], tf.uint8)])
  def segment(images):
    outputs = inference.predict(images)
    return {
        'panoptic_map': outputs['panoptic_map'],
        'panoptic_png_bytes': tf.map_fn(
            label_png.encode_in_graph, outputs['panoptic_map'],
            fn_output_signature=tf.string),
        **{key: outputs[key] for key in inference.table_signature()},
    }

  return segment


def _segment_files(inference, segment_all, files, settings, refusal=None):
  """Segments the images of a request, each at its own size."""
  table = inference.table_signature()

  def results(panoptic_map, **others):
    return {
        # The images differ in size, so a batch of maps is ragged at first.
        'panoptic_map': tf.RaggedTensor.from_tensor(panoptic_map),
        'height': tf.shape(panoptic_map)[0],
        'width': tf.shape(panoptic_map)[1],
        **others,
    }

  def segment(image):
    return results(**{
        key: value[0] for key, value in segment_all(image[tf.newaxis]).items()})

  def no_segments():
    of_table = {
        key: tf.zeros(spec.shape, spec.dtype) for key, spec in table.items()}
    return results(
        tf.zeros([0, 0], tf.int32), panoptic_png_bytes=tf.constant(''),
        **{**of_table, 'num_segments': tf.constant(-1)})

  outputs = request_decoding.for_each_file(
      files, segment, no_segments, {
          'panoptic_map': tf.RaggedTensorSpec(
              [None, None], tf.int32, ragged_rank=1),
          'height': tf.TensorSpec([], tf.int32),
          'width': tf.TensorSpec([], tf.int32),
          'panoptic_png_bytes': tf.TensorSpec([], tf.string),
          **table,
      }, settings, refusal)
  padded = outputs['panoptic_map'].to_tensor(inference.spec.void_label)
  return {**outputs, 'panoptic_map': padded}


def _segment_all(segment, images):
  """Segments images of one size."""
  batch, height, width = tf.unstack(tf.shape(images)[:3])
  return {
      **segment(images),
      'height': tf.fill([batch], height),
      'width': tf.fill([batch], width),
  }


def _all_heads(inference, images):
  """Returns the heads for images of one size, which are not resized."""
  return inference.heads(images)
