"""Writes a SavedModel for TensorFlow Serving and proves that it is right."""

import dataclasses
import io
import json
import os
from typing import Any, Mapping, Optional, Sequence
import uuid

from absl import logging
import numpy as np
from PIL import Image
import tensorflow as tf

from axial_tf import errors
from axial_tf import images as images_lib
from axial_tf import version as version_lib
from axial_tf.layers import attention_rows
from axial_tf.models import panoptic_inference
from axial_tf.serving import signatures as signatures_lib
from axial_tf.serving import versions

# The graph optimizer reorders float operations, so the heads may differ in the
# last digits and a pixel on the border of two segments may change sides.
_HEAD_TOLERANCE = 1e-3
_MIN_AGREEMENT = 0.999


def export_saved_model(
    inference: panoptic_inference.PanopticInference, export_dir: str,
    metadata: Optional[Mapping[str, Any]] = None,
    version: Optional[int] = None,
    samples: Optional[Sequence[np.ndarray]] = None) -> str:
  """Writes `<export_dir>/<version>/` for TensorFlow Serving, all or nothing.

  The version appears only after the SavedModel was loaded again and has given
  on sample images what `inference` gives. The signatures are described in
  `axial_tf.serving.signatures`; `model.json` beside `saved_model.pb` holds the
  data set's spec, the input rules and `metadata`.

  Args:
    inference: the trained model.
    export_dir: folder of all versions; made if needed.
    metadata: more entries of `model.json`, such as 'metrics'; JSON types.
    version: positive integer; None takes the highest one there plus 1.
    samples: uint8 RGB [height, width, 3] images for the comparison; None takes
      generated ones.

  Returns:
    The path of the version's folder.

  Raises:
    errors.UserError: the version exists, the folder cannot be written, or the
      SavedModel does not agree with `inference`.
  """
  version_dir = _new_version_dir(export_dir, version)
  temporary = os.path.join(export_dir, f'writing-{uuid.uuid4().hex}')
  try:
    tf.io.gfile.makedirs(temporary)
    _write(inference, temporary, metadata or {})
    _check(inference, temporary, samples or _generated_samples())
    tf.io.gfile.rename(temporary, version_dir)
  except tf.errors.OpError as error:
    raise errors.UserError(
        f'{version_dir}: cannot be written ({error.message}); give another '
        f'--export_dir') from error
  finally:
    if tf.io.gfile.exists(temporary):
      tf.io.gfile.rmtree(temporary)
  return version_dir


def _new_version_dir(export_dir: str, version: Optional[int]) -> str:
  if tf.io.gfile.exists(export_dir) and not tf.io.gfile.isdir(export_dir):
    raise errors.UserError(
        f'{export_dir}: is a file, expected a folder for exported versions')
  existing = versions.versions(export_dir)
  if version is None:
    version = max(existing, default=0) + 1
  if version < 1:
    raise errors.UserError(
        f'version: expected a positive integer, got {version}')
  version_dir = os.path.join(export_dir, str(version))
  if tf.io.gfile.exists(version_dir):
    raise errors.UserError(
        f'{version_dir}: exists already; give another version or delete it')
  return version_dir


def _write(inference, folder: str, metadata: Mapping[str, Any]) -> None:
  # Only the weights are tracked: saving the Keras layers themselves would
  # trace each of them again, also in training mode.
  root = tf.Module(name='axial_tf')
  root.weights = inference.model.variables
  with attention_rows.backend('matmul'):  # Stock servers do not compile.
    tf.saved_model.save(
        root, folder, signatures=signatures_lib.build(inference))
  content = {
      **metadata,
      'axial_tf_version': version_lib.__version__,
      'dataset_spec': inference.spec.to_json(),
      'input_rules': {
          'pixels': 'uint8 RGB, any size; EXIF rotation is not applied',
          'max_long_side': inference.max_long_side,
          'enlarge': inference.enlarge,
          'scales': inference.multi_scale.scales,
          'flip': inference.multi_scale.flip,
      },
      'merging': dataclasses.asdict(inference.merging),
  }
  with tf.io.gfile.GFile(
      os.path.join(folder, versions.MODEL_JSON), 'w') as file:
    file.write(json.dumps(content, indent=1) + '\n')


def _check(inference, folder: str, samples: Sequence[np.ndarray]) -> None:
  """Raises a UserError unless the SavedModel agrees with `inference`."""
  loaded = tf.saved_model.load(folder).signatures
  batch = loaded['serving_default'](
      image_bytes=tf.constant(
          [images_lib.png_bytes(image) for image in samples]))
  head_difference, agreement = 0.0, 1.0
  for index, image in enumerate(samples):
    height, width = image.shape[:2]
    images = tf.constant(image)[tf.newaxis]
    heads = inference(images)
    for key, value in loaded['heads'](image_tensor=images).items():
      head_difference = max(
          head_difference, _relative_difference(value, heads[key]))
    expected = inference.predict(images)['panoptic_map'][0].numpy()
    from_tensor = loaded['image_tensor'](image_tensor=images)
    for outputs, row in ((batch, index), (from_tensor, 0)):
      panoptic_map = outputs['panoptic_map'][row, :height, :width].numpy()
      agreement = min(agreement, float(np.mean(panoptic_map == expected)))
      rgb = np.asarray(Image.open(io.BytesIO(
          outputs['panoptic_png_bytes'][row].numpy()))).astype(np.int32)
      decoded = rgb @ np.array([1, 256, 65536], np.int32)
      agreement = min(agreement, float(np.mean(decoded == expected)))
  logging.info(
      'exported against original model: heads differ by %.2g at most, panoptic '
      'maps agree on %.4f %% of the pixels', head_difference, 100 * agreement)
  if not (head_difference <= _HEAD_TOLERANCE and agreement >= _MIN_AGREEMENT):
    raise errors.UserError(
        f'the exported model disagrees with the trained one (heads differ by '
        f'{head_difference:.2g}, expected at most {_HEAD_TOLERANCE:g}; maps '
        f'agree on {100 * agreement:.2f} % of the pixels, expected at least '
        f'{100 * _MIN_AGREEMENT:g} %), nothing was exported; does the network '
        f'give the same result twice?')


def _relative_difference(value, expected) -> float:
  """Largest difference, relative to the largest expected value above 1."""
  expected = np.asarray(expected)
  scale = max(1.0, float(np.abs(expected).max(initial=0)))
  return float(np.abs(np.asarray(value) - expected).max(initial=0)) / scale


def _generated_samples() -> Sequence[np.ndarray]:
  """Two images of different sizes: soft colored waves with noise."""
  random = np.random.default_rng(0)
  samples = []
  for height, width in ((65, 97), (112, 80)):
    y, x = np.mgrid[:height, :width] / 16
    waves = np.stack([np.sin(x + y), np.sin(2 * x - y), np.cos(x * y / 8)], -1)
    noise = random.normal(scale=0.2, size=waves.shape)
    samples.append(np.uint8(np.clip(127.5 * (1 + waves + noise), 0, 255)))
  return samples
