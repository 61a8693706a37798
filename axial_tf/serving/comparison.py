"""Whether an exported model gives what the trained one gives."""

import io
from typing import NamedTuple, Sequence

import numpy as np
from PIL import Image
import tensorflow as tf

from axial_tf import errors
from axial_tf import images as images_lib
from axial_tf.models import panoptic_inference

# The graph optimizer reorders float operations, so the heads may differ in the
# last digits and a pixel on the border of two segments may change sides.
_HEAD_TOLERANCE = 1e-3
_MIN_AGREEMENT = 0.999


class Differences(NamedTuple):
  """How an export differs from its model, at worst over samples.

  Attributes:
    heads: largest difference of a head, relative to its largest value above 1.
    agreement: share of the pixels of a panoptic map that are the same, over
      all signatures and the PNGs.
  """

  heads: float
  agreement: float

  def __str__(self):
    return (f'heads differ by {self.heads:.2g} at most, panoptic maps agree on '
            f'{100 * self.agreement:.4f} % of the pixels')

  def require_none(self) -> None:
    """Raises a UserError unless they are those of rounding."""
    if not (self.heads <= _HEAD_TOLERANCE
            and self.agreement >= _MIN_AGREEMENT):
      raise errors.UserError(
          f'the exported model disagrees with the trained one (heads differ '
          f'by {self.heads:.2g}, expected at most {_HEAD_TOLERANCE:g}; maps '
          f'agree on {100 * self.agreement:.2f} % of the pixels, expected at '
          f'least {100 * _MIN_AGREEMENT:g} %); does the network give the same '
          f'result twice, and is this the checkpoint that was exported?')


def compare(inference: panoptic_inference.PanopticInference, folder: str,
            samples: Sequence[np.ndarray] = ()) -> Differences:
  """Runs images through a SavedModel and through the model it is made of.

  Args:
    inference: the trained model.
    folder: of one exported version.
    samples: uint8 RGB [height, width, 3] images; none takes generated ones.
  """
  samples = samples or generated_samples()
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
          head_difference, relative_difference(value, heads[key]))
    expected = inference.predict(images)['panoptic_map'][0].numpy()
    from_tensor = loaded['image_tensor'](image_tensor=images)
    for outputs, row in ((batch, index), (from_tensor, 0)):
      panoptic_map = outputs['panoptic_map'][row, :height, :width].numpy()
      agreement = min(agreement, float(np.mean(panoptic_map == expected)))
      rgb = np.asarray(Image.open(io.BytesIO(
          outputs['panoptic_png_bytes'][row].numpy()))).astype(np.int32)
      decoded = rgb @ np.array([1, 256, 65536], np.int32)
      agreement = min(agreement, float(np.mean(decoded == expected)))
  return Differences(head_difference, agreement)


def generated_samples() -> Sequence[np.ndarray]:
  """Two images of different sizes."""
  return [generated_image(65, 97), generated_image(112, 80)]


def generated_image(height: int, width: int) -> np.ndarray:
  """Returns soft colored waves with noise, uint8 RGB [height, width, 3]."""
  y, x = np.mgrid[:height, :width] / 16
  waves = np.stack([np.sin(x + y), np.sin(2 * x - y), np.cos(x * y / 8)], -1)
  noise = np.random.default_rng(0).normal(scale=0.2, size=waves.shape)
  return np.uint8(np.clip(127.5 * (1 + waves + noise), 0, 255))


def relative_difference(value, expected) -> float:
  """Returns the largest difference, relative to the largest value above 1."""
  expected = np.asarray(expected)
  scale = max(1.0, float(np.abs(expected).max(initial=0)))
  return float(np.abs(np.asarray(value) - expected).max(initial=0)) / scale
