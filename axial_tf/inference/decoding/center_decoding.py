"""Panoptic-DeepLab: a heatmap of centers and offsets to them."""

from typing import Dict

import tensorflow as tf

from axial_tf.inference import multi_scale
from axial_tf.inference.decoding import decoding
from axial_tf.panoptic import merging


class CenterDecoding(decoding.Decoding):
  """Decodes the heads of `panoptic_deeplab.PanopticDeepLab`.

  All are of the size of the images: 'center_heatmap' [batch, height, width] and
  'offset' [batch, height, width, 2], (y, x) in pixels.
  """

  HEADS = ('center_heatmap', 'offset')

  @property
  def max_instances(self) -> int:
    return self.settings.max_centers

  @property
  def void_stuff_at_limit(self) -> bool:
    return self.settings.void_stuff_at_limit

  def heads(self, network, images, views) -> Dict[str, tf.Tensor]:
    return multi_scale.average(network, images, views, _of_image)

  def merge(self, heads) -> Dict[str, tf.Tensor]:
    return merging.merge(
        heads['semantic_probabilities'],
        *(heads[key] for key in self.HEADS), thing_ids=self.spec.thing_ids,
        label_divisor=self.spec.label_divisor,
        void_label=self.spec.void_label, settings=self.settings)


def _of_image(outputs, view: multi_scale.View) -> Dict[str, tf.Tensor]:
  """Maps the outputs for a view back to the image."""
  heads = {
      'semantic_probabilities': tf.nn.softmax(outputs['semantic_logits']),
      **{key: outputs[key] for key in CenterDecoding.HEADS}}
  if view.pixel is not None:
    heads['offset'] *= view.pixel
  if view.flip:
    heads = {key: tf.reverse(value, [2]) for key, value in heads.items()}
    heads['offset'] *= tf.constant([1.0, -1.0])
  return heads
