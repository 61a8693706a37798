"""Averages the heads of a panoptic network over scales and mirrored images.

The network runs on the image at several scales and, with `flip`, mirrored;
class probabilities, heatmaps and offsets are resized to the image's size and
averaged (paper, section 4: 0.5 to 1.5 in steps of 0.25 on COCO, 0.5 to 2
elsewhere, with flips). One view is in memory at a time.
"""

import dataclasses
from typing import Callable, Dict, Iterator, NamedTuple, Optional, Tuple

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


class View(NamedTuple):
  """One view of an image.

  Attributes:
    pixel: float32 [2], height and width of the view's pixels in pixels of the
      image; None at scale 1.
    flip: whether the view is mirrored.
  """

  pixel: Optional[tf.Tensor]
  flip: bool


def average(network: Network, images: tf.Tensor, settings: MultiScaleSettings,
            of_image: Callable[[Dict[str, tf.Tensor], View],
                               Dict[str, tf.Tensor]]) -> Dict[str, tf.Tensor]:
  """Returns the mean of the heads over all views.

  Args:
    network: see `Network`.
    images: float32 [batch, height, width, 3] in -1..1.
    settings: the views.
    of_image: maps the network's outputs for a view to heads of the image, whose
      sizes are the same for all views.
  """
  # All views call the network in the same way, so that a graph holds it once.
  output_size = (
      None if settings.scales == (1.0,) else resize.size_of(images))
  total = None
  for scale, flip in settings.views():
    # A view starts when the previous one is done, or all would be in memory.
    with tf.control_dependencies(
        [] if total is None else list(total.values())):
      heads = _heads(
          network, tf.identity(images), scale, flip, output_size, of_image)
    total = heads if total is None else {
        key: total[key] + value for key, value in heads.items()}
  if settings.count == 1:
    return total
  return {key: value / settings.count for key, value in total.items()}


def _heads(network, images, scale: float, flip: bool, output_size, of_image
           ) -> Dict[str, tf.Tensor]:
  """Returns the heads of one view, mapped back to the images."""
  size = resize.size_of(images)
  pixel = None
  if scale != 1.0:
    scaled = tuple(_scaled(n, scale) for n in size)
    images = resize.resize(images, scaled)
    pixel = tf.stack([
        tf.cast(tf.maximum(n - 1, 1), tf.float32)
        / tf.cast(tf.maximum(m - 1, 1), tf.float32)
        for n, m in zip(size, scaled)])
  if flip:
    images = tf.reverse(images, [2])
  return of_image(network(images, output_size), View(pixel, flip))


def _scaled(size: resize.Size, scale: float) -> resize.Size:
  if isinstance(size, int):
    return int((size - 1) * scale + 1)
  return tf.cast(tf.cast(size - 1, tf.float64) * scale + 1, tf.int32)
