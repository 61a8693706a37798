"""Averages the heads of a panoptic network over scales and mirrored images.

The network runs on the image at several scales and, with `flip`, mirrored;
class probabilities, heatmaps and offsets are resized to the image's size and
averaged (paper, section 4: 0.5 to 1.5 in steps of 0.25 on COCO, 0.5 to 2
elsewhere, with flips). One view is in memory at a time.
"""

import dataclasses
from typing import Callable, Dict, Iterator, Optional, Tuple

import tensorflow as tf

from axial_tf import settings as settings_lib
from axial_tf.layers import resize

# Maps images float32 [batch, height, width, 3] in -1..1 and the (height, width)
# of the outputs, None for that of the images, to the network's heads.
Network = Callable[
    [tf.Tensor, Optional[Tuple[resize.Size, resize.Size]]],
    Dict[str, tf.Tensor]]


@dataclasses.dataclass(frozen=True)
class MultiScaleSettings:
  """The views of an image over which the network's heads are averaged.

  Attributes:
    scales: scales of height and width; a side of n pixels becomes int((n - 1) *
      scale + 1). The paper's are 0.5, 0.75 ... 1.5 (COCO) or 0.5, 0.75 ... 2
      (Cityscapes, Mapillary Vistas).
    flip: whether to add a mirrored view at each scale.
  """

  scales: Tuple[float, ...] = (1.0,)
  flip: bool = False

  def __post_init__(self):
    settings_lib.check_types(self)
    settings_lib.require(
        len(self.scales) > 0
        and all(0.0 < scale <= 16.0 for scale in self.scales)
        and len(set(self.scales)) == len(self.scales), self, 'scales',
        'distinct numbers above 0 and up to 16')

  def views(self) -> Iterator[Tuple[float, bool]]:
    """Yields scale and whether mirrored."""
    for scale in self.scales:
      yield scale, False
      if self.flip:
        yield scale, True

  @property
  def count(self) -> int:
    """Number of views."""
    return len(self.scales) * (2 if self.flip else 1)


def heads(network: Network, images: tf.Tensor, settings: MultiScaleSettings
          ) -> Dict[str, tf.Tensor]:
  """Returns the averaged heads at the size of the images.

  Args:
    network: see `Network`; it gives 'semantic_logits', 'center_heatmap' and
      'offset' as `panoptic_deeplab.PanopticDeepLab` does.
    images: float32 [batch, height, width, 3] in -1..1.
    settings: the views.

  Returns:
    float32 'semantic_probabilities' [batch, height, width, classes],
    'center_heatmap' [batch, height, width] and 'offset' [..., 2] in pixels.
  """
  # All views call the network in the same way, so that a graph holds it once.
  output_size = (
      None if settings.scales == (1.0,) else resize.size_of(images))
  total = None
  for scale, flip in settings.views():
    # A view starts when the previous one is done, or all would be in memory.
    with tf.control_dependencies(
        [] if total is None else list(total.values())):
      view = _view(
          network, tf.identity(images), scale, flip, output_size)
    total = view if total is None else {
        key: total[key] + value for key, value in view.items()}
  if settings.count == 1:
    return total
  return {key: value / settings.count for key, value in total.items()}


def _view(network, images, scale: float, flip: bool, output_size
          ) -> Dict[str, tf.Tensor]:
  """Returns the heads of one view, mapped back to the images."""
  size = resize.size_of(images)
  scaled = tuple(_scaled(n, scale) for n in size)
  if scale != 1.0:
    images = resize.resize(images, scaled)
  if flip:
    images = tf.reverse(images, [2])
  outputs = network(images, output_size)
  probabilities = tf.nn.softmax(outputs['semantic_logits'])
  heatmap, offset = outputs['center_heatmap'], outputs['offset']
  if scale != 1.0:
    offset *= tf.stack([  # Pixels of the view to pixels of the image.
        tf.cast(tf.maximum(n - 1, 1), tf.float32)
        / tf.cast(tf.maximum(m - 1, 1), tf.float32)
        for n, m in zip(size, scaled)])
  if flip:
    probabilities, heatmap, offset = (
        tf.reverse(x, [2]) for x in (probabilities, heatmap, offset))
    offset *= tf.constant([1.0, -1.0])
  return {'semantic_probabilities': probabilities, 'center_heatmap': heatmap,
          'offset': offset}


def _scaled(size: resize.Size, scale: float) -> resize.Size:
  if isinstance(size, int):
    return int((size - 1) * scale + 1)
  return tf.cast(tf.cast(size - 1, tf.float64) * scale + 1, tf.int32)
