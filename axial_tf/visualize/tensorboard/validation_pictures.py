"""Draws predictions for a few fixed validation images for TensorBoard.

They are the first ones of the validation records, whose order never changes,
so that TensorBoard's slider shows the same image at all validations.
"""

from typing import Any, Dict, Mapping, Optional, Sequence

import numpy as np
import tensorflow as tf

from axial_tf import visualize
from axial_tf.data.common import resizing
from axial_tf.specs import dataset_spec
from axial_tf.training import exchange
from axial_tf.visualize import head_pictures, picture_sizes

_KEYS = (
    'image', 'panoptic', 'prediction', 'height', 'width', 'raw_height',
    'raw_width', 'place')


class ValidationPictures:
  """Draws the first images of one validation and writes them as summaries.

  With several workers, each draws its own first images, and the chief writes
  the first ones of all.
  """

  def __init__(self, spec: dataset_spec.DatasetSpec, count: int,
               heads: Sequence[str], merging=None):
    """Begins a validation, on all workers.

    Args:
      spec: spec of the labels.
      count: images to draw; none are drawn if no summaries are recorded.
      heads: names of the network's heads.
      merging: see `head_pictures.draw`.
    """
    is_wanted = exchange.of_chief(bool(tf.summary.should_record_summaries()))
    self._spec = spec
    self._merging = merging
    self._keys = (*_KEYS, *heads)
    self._count = self._missing = count if is_wanted else 0
    self._drawn = {}  # Pictures by name, by the place of their image.

  def add(self, step_logs: Mapping[str, Sequence[tf.Tensor]]) -> None:
    """Draws images of one validation step as long as some are missing.

    Args:
      step_logs: outputs of each replica, tensors with a batch axis: uint8
        'image', padded from 'height' and 'width'; its heads; int32 'prediction'
        of its size; int32 'panoptic', the ground truth, padded from
        'raw_height' and 'raw_width'; int64 'place' in the order of the data.
    """
    if not self._missing:
      return
    for replica in zip(*(step_logs[key] for key in self._keys)):
      # Only images to draw are copied from the device.
      for index in range(min(self._missing, replica[0].shape[0])):
        image = {
            key: tensor[index].numpy()
            for key, tensor in zip(self._keys, replica)}
        self._drawn[int(image['place'])] = self._draw(image)
        self._missing -= 1

  def keep_first(self) -> None:
    """Drops, on all workers, images beyond the first `count` of all."""
    places = sorted(sum(exchange.gather(list(self._drawn)), []))
    for place in places[self._count:]:
      self._drawn.pop(place, None)

  def merge(self, other: 'ValidationPictures') -> None:
    """Adds the pictures that another process has drawn of other images."""
    self._drawn.update(other._drawn)

  def write(self, step: Optional[int]) -> None:
    """Writes the pictures to the default summary writer, if there is one.

    Args:
      step: step of the validation; None for the default step.
    """
    for number, (_, pictures) in enumerate(sorted(self._drawn.items()), 1):
      for name, picture in pictures.items():
        tf.summary.image(f'{name}/{number}', picture[np.newaxis], step=step)
    self._drawn = {}

  def _draw(self, image: Dict[str, Any]) -> Dict[str, np.ndarray]:
    """Returns the two pictures of an image by name, uint8 RGB."""
    seen = tuple(int(image[key]) for key in ('height', 'width'))
    raw = tuple(int(image[key]) for key in ('raw_height', 'raw_width'))
    shown = picture_sizes.shown_size(*raw)

    def resized(key, size=seen):
      return resizing.nearest_array(
          image[key][:size[0], :size[1]], *shown)

    pixels = picture_sizes.resize_image(
        image['image'][:seen[0], :seen[1]], *shown)
    truth, prediction = resized('panoptic', raw), resized('prediction')
    is_thing = np.isin(
        prediction // self._spec.label_divisor, self._spec.thing_ids)
    of_heads = head_pictures.draw(
        pixels, is_thing, image, seen, self._merging)
    return {
        'segments': visualize.side_by_side(
            [pixels,
             visualize.panoptic_overlay(pixels, truth, self._spec, labels=True),
             visualize.panoptic_overlay(
                 pixels, prediction, self._spec, labels=True),
             visualize.error_map(pixels, truth, prediction, self._spec)],
            ['image', 'ground truth', 'prediction', 'errors']),
        'heads': visualize.side_by_side(list(of_heads.values()),
                                        list(of_heads)),
    }
