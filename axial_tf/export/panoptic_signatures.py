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

  @tf.function(autograph=False, input_signature=[request_decoding.FILES])
  def serving_default(image_bytes):
    return _segment_files(inference, image_bytes, settings)

  @tf.function(autograph=False, input_signature=[request_decoding.IMAGES])
  def image_tensor(image_tensor):
    return request_decoding.for_all_images(
        image_tensor, lambda images: _segment_all(inference, images))

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
            compiled, files, settings,
            compiled_signature.refusal(original, size)))
  return signatures


def _segment_files(inference, files, settings, refusal=None):
  """Segments the images of a request, each at its own size."""
  table = inference.table_signature()

  def results(panoptic_map, png, of_table):
    return {
        # The images differ in size, so a batch of maps is ragged at first.
        'panoptic_map': tf.RaggedTensor.from_tensor(panoptic_map),
        'height': tf.shape(panoptic_map)[0],
        'width': tf.shape(panoptic_map)[1],
        'panoptic_png_bytes': png,
        **of_table,
    }

  def segment(image):
    outputs = inference.predict_image(image)
    panoptic_map = outputs['panoptic_map']
    return results(panoptic_map, label_png.encode_in_graph(panoptic_map),
                   {key: outputs[key] for key in table})

  def no_segments():
    of_table = {
        key: tf.zeros(spec.shape, spec.dtype) for key, spec in table.items()}
    return results(tf.zeros([0, 0], tf.int32), tf.constant(''),
                   {**of_table, 'num_segments': tf.constant(-1)})

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


def _segment_all(inference, images):
  """Segments images of one size."""
  outputs = inference.predict(images)
  batch, height, width = tf.unstack(tf.shape(images)[:3])
  return {
      'panoptic_map': outputs['panoptic_map'],
      'height': tf.fill([batch], height),
      'width': tf.fill([batch], width),
      'panoptic_png_bytes': tf.map_fn(
          label_png.encode_in_graph, outputs['panoptic_map'],
          fn_output_signature=tf.string),
      **{key: outputs[key] for key in inference.table_signature()},
  }


def _all_heads(inference, images):
  """Returns the heads for images of one size, which are not resized."""
  return inference.heads(images)
