"""DeeperLab: keypoints of instances, and offsets to them."""

from typing import Dict

import tensorflow as tf

from axial_tf.inference import multi_scale
from axial_tf.inference.decoding import decoding
from axial_tf.layers import resize
from axial_tf.panoptic.deeperlab import decoding as keypoints_to_map
from axial_tf.panoptic.deeperlab import keypoints

_STRIDE = keypoints_to_map.STRIDE


class KeypointDecoding(decoding.Decoding):
  """Decodes the heads of `deeperlab.DeeperLab`.

  All are at stride 4 of the images, up to their last pixel: 'keypoint_heatmap'
  [batch, h, w, 5], probabilities, and offsets (y, x) in pixels of the images,
  'long_offset' [batch, h, w, 10], 'short_offset' [..., 10] and 'middle_offset'
  [..., 16].
  """

  HEADS = ('keypoint_heatmap', 'long_offset', 'short_offset', 'middle_offset')

  @property
  def max_instances(self) -> int:
    return self.settings.max_instances

  def heads(self, network, images, views) -> Dict[str, tf.Tensor]:
    return multi_scale.average(network, images, views, _of_image)

  def merge(self, heads) -> Dict[str, tf.Tensor]:
    probabilities = heads['semantic_probabilities']
    return keypoints_to_map.decode(
        tf.argmax(probabilities, -1, output_type=tf.int32),
        {name: heads[name] for name in self.HEADS},
        classes=probabilities.shape[-1], thing_ids=self.spec.thing_ids,
        label_divisor=self.spec.label_divisor,
        void_label=self.spec.void_label, settings=self.settings)


def _of_image(outputs, view: multi_scale.View) -> Dict[str, tf.Tensor]:
  """Maps the outputs for a view back to the image.

  The heads of all views are sampled at the pixels of one map: those of another
  scale, or of an image that was padded after it was mirrored, lie elsewhere.
  """
  probabilities = tf.nn.softmax(outputs['semantic_logits'])
  heads = {
      'keypoint_heatmap': tf.sigmoid(outputs['keypoint_logits']),
      **{name: outputs[name] for name in KeypointDecoding.HEADS[1:]}}
  size = resize.size_of(probabilities)
  step = tf.ones([2]) if view.pixel is None else 1.0 / view.pixel
  for axis in (1, 2):
    count = -(-(size[axis - 1] - 1) // _STRIDE) + 1
    places = tf.range(count, dtype=tf.float32) * step[axis - 1]
    if view.flip and axis == 2:
      last = tf.cast(size[1] - 1, tf.float32) * step[1] / _STRIDE
      places = last - places
    heads = {name: _sample(head, places, axis) for name, head in heads.items()}
  if view.pixel is not None:
    heads = {
        name: head * tf.tile(view.pixel, [head.shape[-1] // 2])
        if name.endswith('_offset') else head for name, head in heads.items()}
  if view.flip:
    probabilities = tf.reverse(probabilities, [2])
    heads = {name: keypoints.swapped(name, head)
             for name, head in heads.items()}
  return {'semantic_probabilities': probabilities, **heads}


def _sample(head: tf.Tensor, places: tf.Tensor, axis: int) -> tf.Tensor:
  """Samples [batch, h, w, c] along an axis, linearly, up to its borders."""
  last = resize.size_of(head)[axis - 1] - 1
  places = tf.clip_by_value(places, 0.0, tf.cast(last, tf.float32))
  before = tf.cast(places, tf.int32)
  share = tf.reshape(
      places - tf.cast(before, tf.float32), [-1] + [1] * (3 - axis))
  low = tf.gather(head, before, axis=axis)
  high = tf.gather(head, tf.minimum(before + 1, last), axis=axis)
  return low + share * (high - low)
