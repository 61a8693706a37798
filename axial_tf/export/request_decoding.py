"""Decodes the images of a request and runs a function on them."""

from typing import Callable, Dict, Mapping, Optional

import tensorflow as tf

from axial_tf.export import image_bytes, serving_settings

Outputs = Dict[str, tf.Tensor]

# Limit of images of a batch of files that are run at a time; each is run at its
# original size and has separate activations.
_PARALLEL_IMAGES = 1

FILES = tf.TensorSpec([None], tf.string, name='image_bytes')
IMAGES = tf.TensorSpec([None, None, None, 3], tf.uint8, name='image_tensor')


def for_each_file(
    files: tf.Tensor, function: Callable[[tf.Tensor], Outputs],
    bad: Callable[[], Outputs], signature: Mapping[str, tf.TypeSpec],
    settings: serving_settings.ServingSettings,
    refusal: Optional[Callable[[tf.Tensor], tf.Tensor]] = None) -> Outputs:
  """Decodes files, which may differ in size, and runs a function on each.

  Args:
    files: string [batch].
    function: function of an image, uint8 [height, width, 3].
    bad: function that returns the results of a bad file, with 'mark'.
    signature: signature of one image's results.
    settings: limit of sizes, and whether a bad file fails the request.
    refusal: function of an image that returns why it counts as bad, string [],
      '' if it does not; None for none.

  Returns:
    The results with a batch axis.
  """
  fails = settings.on_error == 'fail'

  def run(inputs):
    index, content = inputs
    image, problem = image_bytes.decode(content, settings.max_pixels)
    if refusal is not None:
      problem = tf.cond(
          tf.equal(problem, ''), lambda: refusal(image), lambda: problem)
    is_good = tf.equal(problem, '')
    if not fails:
      return tf.cond(is_good, lambda: function(image), bad)
    message = tf.strings.join(
        ['image_bytes[', tf.strings.as_string(index), '] ', problem])
    with tf.control_dependencies([tf.debugging.Assert(is_good, [message])]):
      return function(tf.identity(image))

  return tf.map_fn(
      run, (tf.range(tf.size(files)), files),
      parallel_iterations=_PARALLEL_IMAGES, fn_output_signature=signature)


def for_all_images(images: tf.Tensor, function: Callable[[tf.Tensor], Outputs]
                   ) -> Outputs:
  """Runs a function on a batch of images, which may be empty.

  A server does not compare a tensor's shape with that of the signature.

  Args:
    images: uint8 [batch, height, width, 3].
    function: function of such images, at least one.

  Raises:
    tf.errors.InvalidArgumentError: in the graph, if they have no pixels or
      another shape.
  """
  images = _require_pixels(images)
  count = tf.shape(images)[0]
  missing = tf.cast(tf.equal(count, 0), tf.int32)
  outputs = function(tf.pad(images, [[0, missing], [0, 0], [0, 0], [0, 0]]))
  return {key: value[:count] for key, value in outputs.items()}


def _require_pixels(images: tf.Tensor) -> tf.Tensor:
  # Hides the static shape; the graph would trust it and not check.
  images = tf.raw_ops.PlaceholderWithDefault(input=images, shape=None)
  shape = tf.shape(images)
  is_right = tf.cond(
      tf.equal(tf.size(shape), 4),
      lambda: tf.equal(shape[3], 3) & tf.reduce_all(shape[1:3] > 0),
      lambda: tf.constant(False))
  with tf.control_dependencies([tf.debugging.Assert(is_right, [
      'image_tensor: expected uint8 RGB [batch, height, width, 3] with at '
      'least one pixel, got the shape', shape])]):
    return tf.ensure_shape(images, IMAGES.shape)
