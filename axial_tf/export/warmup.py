"""Requests that TensorFlow Serving runs before it serves a new version.

The first request of each kind is slow: operations are set up and memory is
taken. With these, no user waits for that.
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

# Where the server looks for them in a version.
FILE = 'assets.extra/tf_serving_warmup_requests'
# Height and width in pixels; the server learns nothing from larger ones.
_SIZE = 96, 128


def write(version_dir: str, batch_sizes: Sequence[int], max_pixels: int
          ) -> bool:
  """Adds warm-up requests for `serving_default` to a version.

  Args:
    version_dir: folder of a SavedModel that takes image files.
    batch_sizes: one request of each.
    max_pixels: height times width of the largest file that the model takes. A
      server does not load a model that fails on its warm-up requests.

  Returns:
    Whether they were written: False without tensorflow-serving-api, which is
    told on stderr.
  """
  try:
    prediction_log_pb2 = optional_imports.load(
        'tensorflow_serving.apis.prediction_log_pb2', 'serving',
        'a file of warm-up requests')
  except errors.UserError as error:
    print(f'no warm-up requests: {error}; then export again, or do without',
          file=sys.stderr)
    return False
  path = os.path.join(version_dir, FILE)
  tf.io.gfile.makedirs(os.path.dirname(path))
  files = _files(max_pixels)
  with tf.io.TFRecordWriter(path) as writer:
    for size in batch_sizes:
      log = prediction_log_pb2.PredictionLog()
      # The name of the model is what the server is told when it starts; it
      # does not compare it with that of these requests.
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
  """The same picture in the formats that photographs mostly have."""
  picture = comparison.generated_image(*comparison.within(_SIZE, max_pixels))
  buffer = io.BytesIO()
  Image.fromarray(picture).save(buffer, format='JPEG')
  return [buffer.getvalue(), images.png_bytes(picture)]
