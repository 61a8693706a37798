"""A network of one layer that sees colors, for tests of the code around it.

Black is ground (stuff), red a ball (thing), blue sky (stuff); a bright green
channel marks the center of a ball, so that a ball is red with a yellow middle.
Its results are known without training.
"""

import numpy as np
import tensorflow as tf

from axial_tf.inference import panoptic as panoptic_inference
from axial_tf.keras2 import keras
from axial_tf.layers import resize
from axial_tf.panoptic import merging
from axial_tf.specs import dataset_spec

SPEC = dataset_spec.DatasetSpec(
    name='colors', label_divisor=100, ignore_label=9, categories=(
        dataset_spec.Category(5, 0, 'ground', False, (120, 120, 120)),
        dataset_spec.Category(37, 1, 'ball', True, (220, 60, 40)),
        dataset_spec.Category(8, 2, 'sky', False, (60, 120, 220))))
GROUND, BALL, SKY = 0, 100, 200
MERGING = merging.MergingSettings(
    nms_kernel=3, max_centers=6, stuff_area_limit=1)


class ColorModel(keras.Model):
  """Logits and heatmap are linear in the color; offsets are 0."""

  def __init__(self):
    super().__init__()
    self._layer = keras.layers.Dense(4)
    self._layer.build([None, 3])
    # Columns: ground, ball, sky, center; rows: red, green, blue.
    self._layer.set_weights([
        np.float32([[0, 10, 0, 0], [0, 0, 0, 1], [0, 0, 10, 0]]),
        np.zeros([4], np.float32)])

  def call(self, images, training=False, output_size=None):
    outputs = self._layer(images)
    if output_size is not None:
      outputs = resize.resize(outputs, output_size)
    return {
        'semantic_logits': outputs[..., :3],
        'center_heatmap': outputs[..., 3],
        'offset': tf.zeros_like(outputs[..., :2]),
    }


def inference(max_long_side=None, enlarge=False):
  """The color model in the form that `export` and `Predictor` take."""
  return panoptic_inference.PanopticInference(
      ColorModel(), SPEC, MERGING, max_long_side, enlarge)


def scene(height: int = 24, width: int = 40, scale: int = 1):
  """Sky above ground, with two balls.

  Returns:
    uint8 image [scale * height, scale * width, 3] and its panoptic map.
  """
  image = np.zeros([height, width, 3], np.uint8)
  panoptic = np.full([height, width], GROUND, np.int32)
  image[:6] = 0, 0, 255
  panoptic[:6] = SKY
  for instance, (top, left) in enumerate(((8, 4), (12, 20)), start=1):
    image[top:top + 8, left:left + 10] = 255, 0, 0
    image[top + 4, left + 5] = 255, 255, 0
    panoptic[top:top + 8, left:left + 10] = BALL + instance
  return tuple(
      array.repeat(scale, 0).repeat(scale, 1) for array in (image, panoptic))
