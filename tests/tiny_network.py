"""A panoptic network with attention, small enough to be traced in seconds."""

import tensorflow as tf

from axial_tf.inference import panoptic as panoptic_inference
from axial_tf.keras2 import keras
from axial_tf.layers import resize
from axial_tf.layers.attention import axial_2d
from tests import color_model


class TinyNetwork(keras.Model):
  """Attention over local spans and whole axes, and heads at half the size."""

  def __init__(self):
    super().__init__()
    self.stem = keras.layers.Conv2D(16, 9, 2, 'same')
    self._layers = [
        axial_2d.AxialAttention2D(
            8, 16, heads=2, span=span, name=f'span{span}')
        for span in (5, None)]
    self._heads = keras.layers.Conv2D(6, 1)

  def call(self, images, training=False, output_size=None):
    x = self.stem(images)
    for layer in self._layers:
      x = layer(x, training=training)
    x = resize.resize(self._heads(x), output_size or resize.size_of(images))
    return {'semantic_logits': 9 * x[..., :3], 'center_heatmap': x[..., 3],
            'offset': x[..., 4:]}


def inference(**options) -> panoptic_inference.PanopticInference:
  """Returns the network as `export` takes it.

  Args:
    **options: arguments of PanopticInference, besides the first three.
  """
  model = TinyNetwork()
  model(tf.zeros([1, 33, 49, 3]))
  return panoptic_inference.PanopticInference(
      model, color_model.SPEC, color_model.MERGING, **options)
