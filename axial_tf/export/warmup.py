"""Writes requests that TensorFlow Serving runs before serving a new version.

The first request of each type is slow: operations are set up and memory is
allocated. With these, no user waits for that.
"""

import io
import os
import sys
from typing import List, Sequence

from PIL import Image
import tensorflow as tf

from axial_tf import errors, optional_imports
from axial_tf.export import comparison
from axial_tf.files import images

# Path in a version where the server expects them.
FILE = 'assets.extra/tf_serving_warmup_requests'
# Height and width in pixels; larger ones would not warm up more.
_SIZE = 96, 128


def write(version_dir: str, batch_sizes: Sequence[int], max_pixels: int
          ) -> bool:
  """Adds warm-up requests for `serving_default` to a version.

  Args:
    version_dir: folder of a SavedModel that takes image files.
    batch_sizes: sizes of the requests, one of each.
    max_pixels: height times width of the largest file that the model takes. A
      server does not load a model that fails on its warm-up requests.

  Returns:
    Whether they were written: False without tensorflow-serving-api, which is
    reported on stderr.
  """
  try:
    prediction_log_pb2 = optional_imports.load(
        'tensorflow_serving.apis.prediction_log_pb2', 'serving',
        'a file of warm-up requests')
  except errors.UserError as error:
    print(f'no warm-up requests: {error}; then export again, or omit them',
          file=sys.stderr)
    return False
  path = os.path.join(version_dir, FILE)
  tf.io.gfile.makedirs(os.path.dirname(path))
  files = _files(max_pixels)
  with tf.io.TFRecordWriter(path) as writer:
    for size in batch_sizes:
      log = prediction_log_pb2.PredictionLog()
      # The server gets the model's name at start-up and does not compare it
      # with that of these requests.
      request = log.predict_log.request
      request.model_spec.signature_name = 'serving_default'
      batch = [files[index % len(files)] for index in range(size)]
      request.inputs['image_bytes'].CopyFrom(
          tf.make_tensor_proto(batch, tf.string, [size]))
      writer.write(log.SerializeToString(deterministic=True))
  return True


def exists(version_dir: str) -> bool:
  """Whether a version has warm-up requests."""
  return tf.io.gfile.exists(os.path.join(version_dir, FILE))


def _files(max_pixels: int) -> List[bytes]:
  """Returns the same image in the most common formats of photographs."""
  picture = comparison.generated_image(*comparison.within(_SIZE, max_pixels))
  buffer = io.BytesIO()
  Image.fromarray(picture).save(buffer, format='JPEG')
  return [buffer.getvalue(), images.png_bytes(picture)]
