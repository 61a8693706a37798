"""Parts of the signature `compiled`, whose network is an XLA program.

It is extra: a server without XLA loads the model and runs the other signatures.
"""

from typing import Callable, Optional, Tuple

import tensorflow as tf

from axial_tf import errors
from axial_tf.data.common import resizing
from axial_tf.export import model_json, request_decoding
from axial_tf.files import model_folders
from axial_tf.inference import panoptic as panoptic_inference
from axial_tf.keras2 import keras
from axial_tf.layers.attention import backends, chunks

NAME = 'compiled'


def require_possible(
    inference: model_json.Inference, size: Optional[Tuple[int, int]],
    max_pixels: int) -> None:
  """Checks that a network sees images at the size of its program.

  Args:
    inference: the model to be exported.
    size: height and width of the program's images; None for no program.
    max_pixels: height times width of the largest file that is decoded.

  Raises:
    errors.UserError: it sees no image at this size.
  """
  if size is None:
    return
  expected = None
  if inference.task is model_folders.CLASSIFICATION:
    if tuple(inference.image_size) != size:
      expected = '{},{}, the size of all images that this classifier sees'
      expected = expected.format(*inference.image_size)
  elif size[0] * size[1] > max_pixels:
    expected = f'at most {max_pixels} pixels (--max_pixels)'
  elif inference.max_long_side is not None and _seen(inference, *size) != size:
    expected = (f'a longer side of {"" if inference.enlarge else "at most "}'
                f'{inference.max_long_side} pixels, to which the model '
                f'resizes images')
  if expected is not None:
    raise errors.UserError(
        f'--compiled_size: expected {expected}, got {size[0]},{size[1]}')


def refusal(inference: panoptic_inference.PanopticInference,
            size: Tuple[int, int]) -> Callable[[tf.Tensor], tf.Tensor]:
  """Returns a function of an image that tells why its size does not fit.

  The result is the rest of a sentence, string [], '' for the right size.
  """

  def problem(image):
    seen = tf.shape(image)[:2]
    if inference.max_long_side is not None:
      seen = resizing.long_side_size(
          seen[0], seen[1], inference.max_long_side, inference.enlarge)
    text = tf.strings.reduce_join(tf.strings.as_string(seen), separator=' x ')
    return tf.where(
        tf.reduce_all(tf.equal(seen, size)), '', tf.strings.join([
            'is segmented at ', text, f' pixels, but this signature takes '
            f'{size[0]} x {size[1]}; send it to serving_default']))

  return problem


def build(model: keras.Model,
          answer: Callable[[tf.Tensor], request_decoding.Outputs]):
  """Returns the signature as a tf.function.

  Args:
    model: network whose attention is traced for the accelerator of a server,
      wherever this runs.
    answer: function of the files of a request that runs the network.
  """

  @tf.function(autograph=False, input_signature=[request_decoding.FILES])
  def compiled(image_bytes):
    with backends.use(model, 'compiled', chunks.CHUNK_BYTES['gpu']):
      return answer(image_bytes)

  return compiled


def _seen(inference, height: int, width: int) -> Tuple[int, int]:
  return tuple(resizing.long_side_size(
      height, width, inference.max_long_side, inference.enlarge).numpy())
