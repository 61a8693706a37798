"""Writes BatchingParameters: how TensorFlow Serving may batch requests."""

import os
from typing import Sequence

import tensorflow as tf

# The server reads it from the version's folder if it is started with
# --enable_per_model_batching_parameters.
FILE = 'batching_params.pbtxt'
_TIMEOUT_MICROS = 2000
_THREADS = 4


def text(batch_sizes: Sequence[int], runs_images_at_once: bool) -> str:
  """Returns the content of batching_params.pbtxt.

  Args:
    batch_sizes: allowed sizes, ascending; the last one is the largest batch.
    runs_images_at_once: whether the network sees a batch of files at once. If
      not, time grows with each image, and padding a batch to the next size
      with copies would waste time, so all sizes are allowed.
  """
  largest = batch_sizes[-1]
  allowed = batch_sizes if runs_images_at_once else range(1, largest + 1)
  values = {
      'max_batch_size': largest,
      'batch_timeout_micros': _TIMEOUT_MICROS,
      'num_batch_threads': _THREADS,
      # Bounds latency: requests that would wait longer than a round fail.
      'max_enqueued_batches': _THREADS,
  }
  return '\n'.join([
      '# For TensorFlow Serving with --enable_batching.',
      '# It joins requests for serving_default, whose files may differ in',
      '# size; those for image_tensor must agree in size then.',
      '# num_batch_threads: the number of CPU cores is a good start.',
      *(f'{key} {{ value: {value} }}' for key, value in values.items()),
      *(f'allowed_batch_sizes: {size}' for size in allowed),
      'pad_variable_length_inputs: false']) + '\n'


def write(version_dir: str, batch_sizes: Sequence[int],
          runs_images_at_once: bool) -> None:
  """Adds the file to a version; the arguments are those of `text`."""
  with tf.io.gfile.GFile(os.path.join(version_dir, FILE), 'w') as file:
    file.write(text(batch_sizes, runs_images_at_once))
