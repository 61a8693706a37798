"""Builds the signatures of a served classifier, as TensorFlow functions.

Plain TensorFlow ops only, so that the stock TensorFlow Serving can run them,
except in `compiled`.
"""

from typing import Any, Dict

import tensorflow as tf

from axial_tf.export import (
  compiled_signature,
  request_decoding,
  serving_settings,
)
from axial_tf.inference import classification as classifier_inference


def build(inference: classifier_inference.ClassifierInference,
          settings: serving_settings.ServingSettings) -> Dict[str, Any]:
  """Returns the signatures by name, as tf.functions.

  `serving_default`: image_bytes, string [batch]: JPEG or PNG files, which may
    differ in size and are rotated by their EXIF data.
  `image_tensor`: image_tensor, uint8 [batch, height, width, 3] RGB.

  Both return the `settings.top` most probable classes in descending order:
    classes: int32 [batch, top]; -1 for a file that is not an image, if
      `settings` marks those
    scores: float32 [batch, top], probabilities
    class_names: string [batch, top]

  `probabilities`: image_tensor as above; float32 `probabilities` [batch,
    classes].

  `compiled`, with `settings.compiled_size` only: as `serving_default`, but XLA
    compiles the network, for each size of a batch.
  """
  original, inference = inference, inference.traced()

  @tf.function(autograph=False, input_signature=[request_decoding.FILES])
  def serving_default(image_bytes):
    return _classify_files(inference, image_bytes, settings)

  @tf.function(autograph=False, input_signature=[request_decoding.IMAGES])
  def image_tensor(image_tensor):
    return request_decoding.for_all_images(
        image_tensor,
        lambda images: inference.top(inference(images), settings.top))

  @tf.function(autograph=False, input_signature=[request_decoding.IMAGES])
  def probabilities(image_tensor):
    return request_decoding.for_all_images(
        image_tensor, lambda images: {'probabilities': inference(images)})

  signatures = {
      'serving_default': serving_default,
      'image_tensor': image_tensor,
      'probabilities': probabilities,
  }
  if settings.compiled_size is not None:
    compiled = original.compiled()
    signatures[compiled_signature.NAME] = compiled_signature.build(
        original.model,
        lambda files: _classify_files(compiled, files, settings))
  return signatures


def _classify_files(inference, files, settings):
  """Classifies the images of a request."""
  shape = [*inference.image_size, 3]

  def prepare(image):
    return {'image': inference.prepare(image), 'is_good': tf.constant(True)}

  def no_image():
    return {'image': tf.zeros(shape), 'is_good': tf.constant(False)}

  # The network sees all images at one size, hence all at once.
  prepared = request_decoding.for_each_file(
      files, prepare, no_image, {
          'image': tf.TensorSpec(shape, tf.float32),
          'is_good': tf.TensorSpec([], tf.bool)}, settings)
  outputs = inference.top(
      inference.classify(prepared['image']), settings.top)
  is_good = prepared['is_good'][:, tf.newaxis]
  nothing = {'classes': -1, 'scores': 0.0, 'class_names': ''}
  return {key: tf.where(is_good, value, nothing[key])
          for key, value in outputs.items()}
